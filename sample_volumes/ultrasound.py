"""A liver seen by a curved ultrasound probe: a mass, a gallbladder with a stone, the diaphragm.

Everything is simulated where the probe works, in beams (columns) and depth (rows): echoes
of random scatterers, blurred by the pulse and the beam, weakened along the beam, and only
then compressed and laid out as a fan. Positions are mm: `across` from the middle of the
image to its right, `down` from the probe's arc.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from phantom import Phantom, Slice, Structure
from scipy.ndimage import gaussian_filter1d, map_coordinates
from shapes import Field, Waves

from napari_medfm.volume import Geometry

STRUCTURES = (
    Structure("mass", "#d7263d"),
    Structure("gallbladder", "#3b6fc4"),
    Structure("gallstone", "#e3b23c", parent="gallbladder"),
)
MASS, GALLBLADDER, STONE = range(1, 4)

SHAPE = (560, 720)
PIXEL = 0.25
"""mm per row and column."""

PROBE_RADIUS, DEPTH, HALF_ANGLE = 60.0, 128.0, np.deg2rad(33.0)
BEAMS, SAMPLES = 384, 2048
PULSE, FOCUS = 0.32, 65.0
"""Standard deviation of the pulse along the beam, and depth of the focus, in mm."""
RANGE, LIVER_BELOW_WHITE = 60.0, 31.0
"""Decibels from black to white, and from liver to white."""


@dataclass(frozen=True)
class Scene:
    """What lies at given places, as the sound meets it.

    Attributes
    ----------
    down, across : ndarray
        mm, any one shape.
    ripple : ndarray
        A smooth random field there, about unit variance.
    """

    down: Field
    across: Field
    ripple: Field

    @cached_property
    def layers(self) -> Field:
        """Mm below the skin, bent a little: fat and muscle come before the liver."""
        return self.down - 0.012 * self.across**2 * 0.3 + 0.5 * self.ripple

    @cached_property
    def mass(self) -> Field:
        """Mm to the lobed outline of the mass, negative inside."""
        angle = np.arctan2(self.down - 62, self.across + 24)
        lobes = 1.6 * np.cos(3 * angle + 0.8) + 0.9 * np.cos(5 * angle) + 0.7 * self.ripple
        return np.asarray(np.hypot((self.down - 62) / 13.5, (self.across + 24) / 17.0) * 15.0 - 15.0 + lobes)

    @cached_property
    def gallbladder(self) -> Field:
        """Mm to the inner wall of the gallbladder."""
        lean = self.across - 33 + 0.45 * (self.down - 58)
        return np.asarray(np.hypot((self.down - 58) / 19.0, lean / 11.0) * 13.0 - 13.0 + 0.3 * self.ripple)

    @cached_property
    def stone(self) -> Field:
        """Mm to the surface of the stone on the gallbladder's floor."""
        return np.asarray(np.hypot(self.down - 70.5, self.across - 28.0) - 4.6 + 0.25 * self.ripple)

    @cached_property
    def diaphragm(self) -> Field:
        """Mm beyond the diaphragm; lung lies there."""
        return np.asarray(np.hypot(self.down - 30, (self.across + 4) * 0.80) - 84.0 + 0.8 * self.ripple)

    @cached_property
    def vessels(self) -> Field:
        """Mm to the nearest wall of a hepatic vein."""
        nearest = np.full(self.down.shape, 99.0)
        across = self.across + 2.2 * np.sin(self.down / 7.0) + 1.2 * self.ripple
        for (y0, x0), (y1, x1), (r0, r1) in _VEINS:
            length = (y1 - y0) ** 2 + (x1 - x0) ** 2
            along = np.clip(((self.down - y0) * (y1 - y0) + (across - x0) * (x1 - x0)) / length, 0, 1)
            away = np.hypot(self.down - y0 - along * (y1 - y0), across - x0 - along * (x1 - x0))
            nearest = np.minimum(nearest, away - (r0 + along * (r1 - r0)))
        return np.asarray(nearest + 0.3 * self.ripple)

    def labels(self) -> NDArray[np.uint8]:
        """Return what an expert would draw."""
        labels = np.zeros(self.down.shape, np.uint8)
        labels[self.mass < 0] = MASS
        labels[self.gallbladder < 0] = GALLBLADDER
        labels[self.stone < 0] = STONE
        return labels

    def echo(self) -> Field:
        """Return how strongly the tissue scatters, in decibels above liver."""
        echo = 0.9 * self.ripple + 2.5 * np.sin(0.05 * self.down + 0.06 * self.across)
        echo = np.where(self.vessels < 0.9, 5.0, echo)
        echo = np.where(self.vessels < 0, -21.0, echo)
        echo = np.where(self.mass < 1.2, -3.0, echo)
        echo = np.where(self.mass < 0, -9.0 + 1.6 * self.ripple, echo)
        echo = np.where(np.abs(self.gallbladder - 0.8) < 0.8, 7.0, echo)
        echo = np.where(self.gallbladder < 0, -38.0 + 14 * np.exp(-(self.gallbladder + 13) / 4), echo)
        echo = np.where(self.stone < 0, 14.0, echo)
        mirror = 24.0 * (1 - 0.25 * np.abs(self.ripple)) * np.exp(-(((self.diaphragm - 1.2) / 1.3) ** 2))
        facing = np.exp(-((self.across / 75) ** 2)) * 1.2 - 0.2  # a mirror shows where the beam meets it squarely
        echo = np.where(self.diaphragm > 0, np.maximum(mirror * facing, 0) - 4.0, echo)
        wall = np.select([self.layers < 2.2, self.layers < 9, self.layers < 17], [19.0, 4.0, -5.0], echo)
        sheets = (13 + 4 * self.ripple) * np.exp(-((((self.layers + 0.5 * self.ripple) % 2.9) - 1.4) ** 2) / 0.10) - 5.0
        wall = np.where(self.layers < 17, np.maximum(wall, sheets), wall)
        capsule = 15.0 * np.exp(-(((self.layers - 17.5) / 0.5) ** 2)) - 3.0
        return np.asarray(np.where(self.layers < 22, np.maximum(wall, capsule), wall))

    def loss(self) -> Field:
        """Return decibels lost per mm on the way there and back, beyond what the machine makes up for."""
        loss = np.full(self.down.shape, 0.035)
        loss = np.where(self.mass < 0, 0.055, loss)
        fluid = (self.gallbladder < 0) | (self.vessels < 0)
        loss = np.where(fluid, -0.16, loss)  # the machine makes up for a loss that fluid does not cause
        loss = np.where(self.diaphragm > 2.5, 0.35, loss)
        return np.asarray(np.where(self.stone < -0.6, 6.0, loss))


class Ultrasound:
    """One examination; equal seeds are equal images.

    Parameters
    ----------
    seed : int
        Seeds shapes, scatterers and electronic noise.
    """

    def __init__(self, seed: int = 1957) -> None:
        self._seed = seed
        self._ripple = Waves.random(np.random.default_rng(seed), (9, 26), 12)

    def scan(self) -> Slice:
        """Return the fan as shown on the screen, black around it, and its labels."""
        down, across, beam, depth = screen()
        lines = self.lines()
        places = (depth / DEPTH * (SAMPLES - 1), (beam / HALF_ANGLE + 1) / 2 * (BEAMS - 1))
        inside = (np.abs(beam) <= HALF_ANGLE) & (depth >= 0) & (depth <= DEPTH)
        image = np.where(inside, map_coordinates(lines, places, order=1, mode="nearest"), 0.0)
        labels = np.where(inside, self._scene(down, across).labels(), 0)
        return np.round(image).astype(np.uint8), labels.astype(np.uint8)

    def lines(self) -> Field:
        """Return log-compressed beams, (samples, beams), 0..255."""
        depth = np.linspace(0, DEPTH, SAMPLES)[:, None]
        beam = np.linspace(-HALF_ANGLE, HALF_ANGLE, BEAMS)[None]
        reach = PROBE_RADIUS + depth
        scene = self._scene(reach * np.cos(beam) - PROBE_RADIUS, reach * np.sin(beam))
        step = DEPTH / (SAMPLES - 1)
        heard = scene.echo() - np.cumsum(scene.loss(), axis=0) * step + _contact(beam)
        rng = np.random.default_rng([self._seed, 0])
        envelope = speckle(10 ** (heard / 20), rng)
        noise = 10 ** ((-33 + 0.07 * depth) / 20)  # gain that rises with depth lifts the noise too
        hiss = noise * np.hypot(*rng.standard_normal((2, *envelope.shape)))
        decibels = 20 * np.log10(np.hypot(envelope, hiss) + 1e-6)
        return np.asarray(np.clip((decibels + RANGE - LIVER_BELOW_WHITE) / RANGE, 0, 1) * 255)

    def _scene(self, down: Field, across: Field) -> Scene:
        return Scene(down, across, self._ripple.through(np.zeros(down.shape), down, across))


def phantom(seed: int = 1957) -> Phantom:
    """Return the examination; the picture is taken for an axial slice, as pictures are."""
    affine = np.eye(4)
    affine[:3, :3] = ((0, 0, -PIXEL), (0, -PIXEL, 0), (1, 0, 0))
    affine[:3, 3] = ((SHAPE[1] - 1) / 2 * PIXEL, 0, 0)
    examination = Ultrasound(seed)
    return Phantom("ultrasound", "US", STRUCTURES, Geometry(SHAPE, affine), lambda index: examination.scan())


def speckle(amplitude: Field, rng: np.random.Generator) -> Field:
    """Return the echo's envelope: many scatterers per resolution cell, added with their phases.

    With a constant amplitude it follows a Rayleigh distribution, mean 1.91 times its
    standard deviation, as fully developed speckle does. The beam is narrowest at the focus.

    Parameters
    ----------
    amplitude : ndarray, (samples, beams)
        How strongly each place scatters.
    rng : numpy.random.Generator
        Draws the scatterers.
    """
    scatterers = rng.standard_normal((2, *amplitude.shape)) * amplitude
    step = DEPTH / (SAMPLES - 1)
    field = gaussian_filter1d(scatterers, PULSE / step, axis=1)
    depth = np.linspace(0, DEPTH, SAMPLES)
    pitch = (PROBE_RADIUS + depth) * 2 * HALF_ANGLE / (BEAMS - 1)
    width = np.hypot(0.55, 0.010 * (depth - FOCUS)) / pitch  # standard deviation, in beams
    steps = np.round(width * 4) / 4
    for size in np.unique(steps):
        field[:, steps == size] = gaussian_filter1d(field[:, steps == size], size, axis=2)
    # Unit mean power again: a Gaussian of s samples leaves 1 / (2 s sqrt(pi)) of white noise.
    left = np.sqrt(1 / (2 * np.sqrt(np.pi) * PULSE / step)) * np.sqrt(1 / (2 * np.sqrt(np.pi) * steps))
    return np.asarray(np.hypot(field[0], field[1]) / (np.sqrt(2) * left[:, None]))


_VEINS: tuple[tuple[tuple[float, float], tuple[float, float], tuple[float, float]], ...] = (
    ((96, 0), (72, 2), (3.8, 2.6)),
    ((72, 2), (44, -4), (2.6, 1.2)),
    ((94, -2), (86, -34), (2.8, 1.3)),
    ((38, -36), (45, -43), (1.6, 1.1)),
    ((48, 10), (37, 20), (1.5, 0.9)),
    ((82, 16), (84, 18), (2.0, 1.8)),
    ((58, 4), (59, 6), (1.2, 1.0)),
    ((90, 42), (99, 34), (1.8, 1.2)),
    ((34, 0), (33, 5), (0.9, 0.8)),
)
"""Ends, (down, across), and radii of pieces of vein in mm."""


def _contact(beam: Field) -> Field:
    """Return decibels by beam: ribs and poor contact darken the sides."""
    aside = np.clip((np.abs(beam) / HALF_ANGLE - 0.6) / 0.4, 0, 1)
    return np.asarray(1.2 * np.sin(23 * beam) + 0.8 * np.sin(61 * beam) - 14.0 * aside**2)


def screen() -> tuple[Field, Field, Field, Field]:
    """Return mm down and across, beam angle and depth along it for every pixel of the screen."""
    top = PROBE_RADIUS * (1 - np.cos(HALF_ANGLE))
    down, across = np.meshgrid(
        np.arange(SHAPE[0]) * PIXEL - top - 1.0, (np.arange(SHAPE[1]) - (SHAPE[1] - 1) / 2) * PIXEL, indexing="ij"
    )
    return down, across, np.arctan2(across, down + PROBE_RADIUS), np.hypot(across, down + PROBE_RADIUS) - PROBE_RADIUS
