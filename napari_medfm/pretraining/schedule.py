"""How long a training takes, and what changes on the way."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """When a training is over: after minutes of work, or after samples.

    Attributes
    ----------
    minutes : float, optional
        Of work on this machine.
    samples : int, optional
        Objects asked for; a run of so many gives the same weights again.

    Raises
    ------
    ValueError
        None of them, both, or nothing to do.
    """

    minutes: float | None = None
    samples: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.samples is None) or (self.minutes or self.samples or 0) <= 0:
            msg = f"a budget has either minutes or samples, more than 0, not {self}"
            raise ValueError(msg)

    def share(self, seconds: float, samples: int) -> float:
        """Return how much of it is spent, 0..1."""
        spent = seconds / (60 * self.minutes) if self.minutes is not None else samples / (self.samples or 1)
        return min(1.0, spent)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a training.

    Attributes
    ----------
    images, objects : int
        Views of a step, and objects asked for in each.
    side : int
        Of the views, in pixels.
    early_side, early : int, float
        Side of the views for the first part of the budget: coarse things are learned faster on small views.
    decay : float
        Last part of the budget, in which the learning rate falls to nearly nothing.
    learning_rate : float
        Of the decoder; the encoder's backbone, which may have learned before, has `backbone` of it.
    backbone : float
        See `learning_rate`.
    weight_decay : float
        Of AdamW (Loshchilov and Hutter, ICLR 2019).
    warm_up : int
        Steps in which the learning rate rises.
    longest_average : float
        Weight of the past in the moving average of the weights, at most.
    pseudo, shapes : float
        Shares of superpixels and of synthetic shapes, see `Sampler`.
    seed : int
        Of every draw.

    Raises
    ------
    ValueError
        A side that the network cannot take, or nothing to do in a step.
    """

    images: int = 4
    objects: int = 3
    side: int = 256
    early_side: int = 192
    early: float = 0.5
    decay: float = 0.3
    learning_rate: float = 1e-3
    backbone: float = 0.3
    weight_decay: float = 0.02
    warm_up: int = 200
    longest_average: float = 0.999
    pseudo: float = 0.45
    shapes: float = 0.07
    seed: int = 0

    def __post_init__(self) -> None:
        if self.side % 32 or self.early_side % 32 or min(self.samples, self.side, self.early_side) < 1:
            msg = f"a recipe needs sides that are multiples of 32 and at least one object, not {self}"
            raise ValueError(msg)

    @property
    def samples(self) -> int:
        """Objects of a step."""
        return self.images * self.objects

    def side_at(self, share: float) -> int:
        """Return the side of the views when so much of the budget is spent."""
        return self.early_side if share < self.early else self.side

    def rate_at(self, share: float, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = min(1.0, (step + 1) / self.warm_up)
        falling = min(1.0, (1 - share) / self.decay)
        return self.learning_rate * rising * (0.98 * falling + 0.02)

    def average_at(self, steps: int) -> float:
        """Return the weight of the past in the moving average after so many steps: little at first."""
        return min(self.longest_average, (1 + steps) / (20 + steps))
