"""Changes of how an object stands out from what is around it, so that no look of it is learned by heart."""

from torch import Tensor
from torch.nn import functional

from napari_medfm.pretraining.chance import Chance

_STRONGEST = 70.0  # of 255 that an object becomes brighter or darker at most
_ALONE = 0.5  # of the changes are of one object, the others of all in the view


def disguise(pictures: Tensor, targets: Tensor, recontrasted: float, transplanted: float, chance: Chance) -> None:
    """Make objects brighter or darker in some pictures, and put some of them before another picture, in place.

    An object before another picture is the only one of its view (after Ghiasi et al., Simple Copy-Paste, CVPR 2021).

    Parameters
    ----------
    pictures : Tensor, (b, 3, side, side)
        In 0..255.
    targets : Tensor, (b, objects, side, side)
        In 0..1.
    recontrasted, transplanted : float
        Shares of the pictures.
    chance : Chance
        Random draws.
    """
    backgrounds = pictures.roll(1, dims=0)
    for at, kind in enumerate(chance.decisions.random(len(pictures))):
        if kind < recontrasted:
            pictures[at] = _recontrasted(pictures[at], targets[at], chance)
        elif kind < recontrasted + transplanted:
            soft = _soft(targets[at, 0])
            pictures[at] = pictures[at] * soft + backgrounds[at] * (1 - soft)
            targets[at] = targets[at, :1].clone()


def _recontrasted(picture: Tensor, targets: Tensor, chance: Chance) -> Tensor:
    chosen = targets[0] if chance.happens(_ALONE) else targets.amax(dim=0)
    change = chance.between(-_STRONGEST, _STRONGEST)
    return (picture + change * _soft(chosen)).clamp(0, 255)


def _soft(mask: Tensor) -> Tensor:
    """A border of three pixels, so that it is no seam."""
    soft: Tensor = functional.avg_pool2d(mask[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    return soft
