"""A head in T2-weighted FLAIR magnetic resonance, thick slices, with multiple-sclerosis-like lesions.

The frame: x towards the patient's left, y towards the back, z towards the head, in mm from
a point between the thalami. The patient lies turned in the scanner: see `AFFINE_TURN`.
"""

import functools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from phantom import Phantom, Slice, Structure
from scipy.ndimage import label
from shapes import Canvas, Field, Grain, Place, Waves, common, union

from napari_medfm.volume import Geometry

STRUCTURES = (
    Structure("grey matter", "#9a7b6a"),
    Structure("white matter", "#f1e9d2"),
    Structure("ventricles", "#3b6fc4"),
    Structure("lesion", "#3fae49", parent="white matter"),
    Structure("cerebellum", "#d9822b"),
    Structure("brainstem", "#a44a9b"),
)
GREY, WHITE, VENTRICLE, LESION, CEREBELLUM, STEM = range(1, 7)

SHAPE = (30, 240, 196)
SPACING = (4.0, 0.9, 0.9)
LOWEST = -50.0
"""mm; lower face of the first slice."""
AFFINE_TURN = (14.0, -6.0, 9.0)
"""Degrees about x, y and z by which the slices are tilted against the patient's axes."""

NOISE = 15.0
"""Standard deviation of each of the two channels that make the magnitude."""
FLUID, CORTEX, MEDULLA, NUCLEI, PLAQUE, SCALP_FAT, BONE, MARROW = 55.0, 535.0, 412.0, 475.0, 730.0, 620.0, 35.0, 330.0

LESIONS: tuple[tuple[Place, Place, float], ...] = (
    ((21, -22, 17), (5, 9, 4), 35),
    ((23, -3, 20), (5, 4, 9), -10),
    ((24, 16, 22), (6, 5, 11), 15),
    ((26, 6, -20), (6, 4.5, 9), -20),
    ((22, 28, -27), (6, 6, 10), -35),
    ((18, -27, -18), (5, 7, 4), -30),
    ((36, -12, -26), (4, 4, 5), 0),
    ((38, 20, 30), (4.5, 5, 4), 40),
    ((33, -34, 25), (4.5, 4.5, 4), 0),
    ((12, 46, 31), (4, 7, 4), -20),
    ((44, 4, -30), (4, 4, 4), 0),
    ((45, 28, -22), (4.5, 4, 5), 20),
)
"""Centre and radii in mm, turn in degrees."""


class Brain:
    """One patient; equal seeds are equal patients.

    Parameters
    ----------
    seed : int
        Seeds folds, textures, bias field and noise.
    """

    def __init__(self, seed: int = 1849) -> None:
        rng = np.random.default_rng(seed)
        self._seed = seed
        self._sway = [Waves.random(rng, (90, 180)) for _ in "yx"]
        self._folds = (Waves.random(rng, (24, 27), 16), Waves.random(rng, (15, 17), 16))
        self._bends = [Waves.random(rng, (30, 60)) for _ in "zyx"]
        self._depths = Waves.random(rng, (25, 60))
        self._ripple = Waves.random(rng, (12, 30))
        self._folia = Waves.random(rng, (14, 30))
        self._fine = Grain.random(rng, 3.0)
        self._coarse = Waves.random(rng, (9, 26), 20)
        self._bias = Waves.random(rng, (260, 420), 4)

    def slice(self, index: int) -> Slice:
        """Return the image and the labels of one slice, counted from below."""
        middle = LOWEST + (index + 0.5) * SPACING[0]
        layers = [self.layer(middle + offset) for offset in (-SPACING[0] / 3, 0.0, SPACING[0] / 3)]
        clean = np.mean([layer.intensity for layer in layers], axis=0)
        canvas = layers[1]
        received = clean * self.bias(canvas.z, canvas.down, canvas.across)
        noise = np.random.default_rng([self._seed, index]).standard_normal((2, *clean.shape))
        return np.round(_scanned(received, noise)).astype(np.int16), canvas.labels

    def layer(self, z: float) -> Canvas:
        """Return an infinitely thin slice without noise or bias at a height in mm."""
        down, across = (np.asarray((np.arange(size) - (size - 1) / 2) * SPACING[1]) for size in SHAPE[1:])
        sway = [1.5 * waves.at(z, down, across) for waves in self._sway]
        canvas = Canvas.blank(z, (down, across), (sway[0], sway[1]), 0.0)
        frame = _Frame(canvas, self._ripple.on(canvas))
        self._paint_head(canvas, frame)
        self._paint_face(canvas, frame)
        canvas.paint(frame.inside, FLUID)
        self._paint_cerebellum(canvas)
        _paint_stem(canvas)
        self._paint_cerebrum(canvas, frame)
        return canvas

    def bias(self, z: float, down: Field, across: Field) -> Field:
        """Return what the coils' uneven sensitivity multiplies the image by, about 1."""
        near = (np.hypot(down[:, None] / 110, across[None] / 90) ** 2 - 0.5) * 0.16  # surface coils
        return np.exp(0.22 * self._bias.at(z, down, across) + near)

    def _paint_head(self, canvas: Canvas, frame: "_Frame") -> None:
        canvas.paint(frame.head, 330.0)
        canvas.paint(frame.head + 1.8, SCALP_FAT + 40 * self._coarse.on(canvas))
        for side in (-1, 1):
            muscle = common(frame.head + 4.0, canvas.ellipsoid((-14, -16, 76 * side), (46, 46, 18)))
            canvas.paint(muscle, 280 + 25 * self._fine.on(canvas))
        canvas.paint(frame.skull, BONE)
        diploe = np.abs(frame.skull + 3.6 + 0.3 * frame.ripple) - 1.4
        canvas.paint(diploe, MARROW + 50 * self._coarse.on(canvas))

    def _paint_face(self, canvas: Canvas, frame: "_Frame") -> None:
        if canvas.z > -4:
            return
        base = common(frame.skull + 4.0, canvas.z + 6)
        canvas.paint(base, 190 + 45 * self._coarse.on(canvas) + 20 * self._fine.on(canvas))
        cells = common(base + 2, np.abs(canvas.x) - 15, canvas.y + 44) + 3 * self._folia.on(canvas)
        canvas.paint(cells, 15.0)  # ethmoid and sphenoid air
        canvas.paint(cells + 5, 330.0 + 60 * self._fine.on(canvas))
        for side in (-1, 1):
            petrous = canvas.ellipsoid((-36, 18, 42 * side), (13, 9, 30), -35 * side)
            canvas.paint(petrous + 1.5 * frame.ripple, 20.0)
            self._paint_eye(canvas, side)

    def _paint_eye(self, canvas: Canvas, side: int) -> None:
        cone = canvas.capsule((-26, -74, 33 * side), (-24, -42, 16 * side), (17.0, 5.0))
        canvas.paint(cone, SCALP_FAT + 60)
        for away in (-9.0, 9.0):
            muscle = canvas.capsule((-26, -68, (33 + away) * side), (-24, -42, (16 + 0.3 * away) * side), (2.0, 1.6))
            canvas.paint(muscle, 380.0)
        canvas.paint(canvas.capsule((-26, -66, 32 * side), (-24, -40, 15 * side), (2.2, 2.0)), 410.0)
        globe = canvas.ellipsoid((-26, -75, 33 * side), (11.5, 11.5, 11.5))
        canvas.paint(globe, 330.0)
        canvas.paint(globe + 1.3, 85.0)
        canvas.paint(canvas.ellipsoid((-26, -82.5, 33.5 * side), (4, 2, 4.5)), 290.0)

    def _paint_cerebellum(self, canvas: Canvas) -> None:
        whole = union(
            canvas.ellipsoid((-26, 50, 26), (25, 31, 32), -15), canvas.ellipsoid((-26, 50, -26), (25, 31, 32), 15), 14
        )
        whole = union(whole, canvas.ellipsoid((-20, 46, 0), (20, 27, 15)), 10)
        whole = common(whole, canvas.z + 2 + 0.06 * (canvas.y - 30))
        leaves = np.cos(2 * np.pi * (whole + 2.0 * self._folia.on(canvas)) / 4.4)
        rim = np.clip((whole + 13.0) / 4.0, 0.0, 1.0)
        canvas.paint(whole, 485.0 - 75.0 * rim * np.clip(leaves, -0.3, 1.0), CEREBELLUM)  # fluid between the leaves
        tree = whole + 11.5 + 3.5 * self._folia.at(1.7 * canvas.z, 1.7 * canvas.down, 1.7 * canvas.across)
        canvas.paint(tree, MEDULLA)
        fourth = canvas.ellipsoid((-27, 31, 0), (12, 5.5, 8)) + 0.6 * np.abs(canvas.x) * (canvas.y > 33)
        canvas.paint(fourth, FLUID, VENTRICLE)

    def _paint_cerebrum(self, canvas: Canvas, frame: "_Frame") -> None:
        cortical = self._cortical_depth(canvas, frame)
        fine = self._fine.on(canvas)
        canvas.paint(common(0.8 - cortical, frame.cerebrum), CORTEX + 9 * fine, GREY)
        white = common(3.5 - cortical, frame.cerebrum + 3.0)
        canvas.paint(white, MEDULLA + 7 * fine + 10 * self._coarse.on(canvas), WHITE)
        self._paint_nuclei(canvas, frame.ripple)
        for place, radii, turn in LESIONS:
            shape = _in_one_piece(common(canvas.ellipsoid(place, radii, turn) + 0.7 * frame.ripple, 1.0 - cortical))
            edge = np.clip(-shape / 2.5, 0.35, 1.0)
            canvas.paint(shape, MEDULLA + (PLAQUE - MEDULLA) * edge + 8 * fine, LESION)
        self._paint_ventricles(canvas)

    def _cortical_depth(self, canvas: Canvas, frame: "_Frame") -> Field:
        """Return mm from the fluid around the cortex: the hull and every furrow."""
        inside = (frame.cerebrum < 1.0) & (frame.hull > -34.0)  # no furrow is deeper
        depth = np.maximum(-frame.hull[inside], 0.0)
        z, y, x = np.full(depth.shape, canvas.z), canvas.y[inside], canvas.x[inside]
        # Furrows run inwards from the hull: what is drawn on it is carried along the ray to the middle.
        share = np.clip(np.sqrt((z / 62) ** 2 + (y / 84) ** 2 + (x / 66) ** 2), 0.15, 1.2)
        bend = [0.12 * depth * waves.on(canvas)[inside] for waves in self._bends]
        spots = (z / share + bend[0], y / share + bend[1], x / share + bend[2])
        deep, shallow = (share * waves.sheets(*spots) for waves in self._folds)
        limit = 4.0 * self._depths.on(canvas)[inside]
        deep += np.maximum(depth - 19.0 - limit, 0.0)
        shallow += np.maximum(depth - 9.0 + limit, 0.0)
        cortical = np.minimum(np.minimum(-frame.cerebrum, frame.fissure), frame.sylvian)
        cortical[inside] = np.minimum(cortical[inside], np.minimum(deep, shallow + 0.4))
        return cortical

    def _paint_nuclei(self, canvas: Canvas, ripple: Field) -> None:
        for side in (-1, 1):
            for (z, y, x), radii, turn, level in _NUCLEI:
                shape = canvas.ellipsoid((z, y, x * side), radii, turn * side) + 0.4 * ripple
                canvas.paint(shape, level + 8 * self._fine.on(canvas), GREY)

    def _paint_ventricles(self, canvas: Canvas) -> None:
        for side in (-1, 1):
            pieces = [canvas.capsule(*_mirrored(ends, side), radii) for ends, radii in _HORNS]
            horns = functools.reduce(functools.partial(union, blend=3.0), pieces)
            canvas.paint(horns - 1.4, 500.0)  # the bright lining
            canvas.paint(horns, FLUID, VENTRICLE)
            plexus = canvas.capsule((14, 30, 18 * side), (8, 34, 24 * side), (2.2, 2.6))
            canvas.paint(plexus, 430.0)
        third = canvas.ellipsoid((-1, 6, 0), (12, 17, 2.3))
        canvas.paint(third, FLUID, VENTRICLE)


@dataclass(frozen=True)
class _Frame:
    """The distances that the parts of the head are cut to fit."""

    canvas: Canvas
    ripple: Field

    @cached_property
    def head(self) -> Field:
        """Skin, above; below the eyes the head goes on downwards."""
        return self._shell(101.0, 80.5, 84.0)

    @cached_property
    def skull(self) -> Field:
        """Outer table of the skull."""
        return self._shell(95.5, 75.0, 78.5)

    @cached_property
    def hull(self) -> Field:
        """The convex outside of both hemispheres."""
        return self._shell(86.0, 66.0, 69.0)

    @cached_property
    def inside(self) -> Field:
        """Within the dura: above the skull's base, in its middle pits and in its hind one."""
        canvas = self.canvas
        above = common(-10.0 - canvas.z, self.hull - 2.5)
        hind = common(canvas.ellipsoid((-26, 44, 0), (40, 44, 60)), self.hull - 2.5)
        return np.minimum(np.minimum(above, hind), self.temporal - 2.0)

    @cached_property
    def temporal(self) -> Field:
        """Both temporal lobes."""
        sides = [self.canvas.ellipsoid((-19, -14, 43 * side), (21, 44, 21), 12 * side) for side in (-1, 1)]
        return common(np.minimum(*sides), self.hull)

    @cached_property
    def cerebrum(self) -> Field:
        """Both hemispheres without their furrows."""
        behind = 1 / (1 + np.exp(-(self.canvas.y - 24) / 5))
        tent = -9.0 + behind * (7.0 - 0.15 * np.abs(self.canvas.x))  # over the cerebellum
        upper = common(self.hull, tent - self.canvas.z)
        return np.asarray(union(upper, self.temporal, 6) + 0.5 * self.ripple)

    @cached_property
    def fissure(self) -> Field:
        """Mm from the cleft between the hemispheres, which ends at the corpus callosum."""
        canvas = self.canvas
        beam = 1.0 - np.hypot((canvas.z - 7) / 25, (canvas.y - 2) / 47)
        wiggle = 0.5 * self.ripple
        return np.asarray(np.abs(canvas.x + wiggle) - 0.4 + np.maximum(beam, 0.0) * 45)

    @cached_property
    def sylvian(self) -> Field:
        """Mm from the lateral furrow down to the insula."""
        canvas = self.canvas
        roof = -6.0 + 0.30 * (canvas.y + 20) + 2.0 * self.ripple
        inward = np.maximum(39.0 - np.abs(canvas.x), 0.0)
        ends = np.maximum(np.abs(canvas.y - 2) - 30.0, 0.0)
        return np.asarray(np.abs(canvas.z - roof) * 0.85 - 0.8 + inward + ends)

    def _shell(self, length: float, width: float, height: float) -> Field:
        """Return the distance to an egg around the brain, narrower in front."""
        canvas = self.canvas
        z = canvas.z if canvas.z > 0 else canvas.z * 0.55
        across = width * (1.0 + 0.0006 * canvas.y)
        round_ = np.abs(canvas.y / length) ** 2.2 + np.abs(canvas.x / across) ** 2.2
        scaled = np.sqrt((z / height) ** 2 + round_ ** (2 / 2.2))
        away = np.sqrt(z**2 + canvas.y**2 + canvas.x**2)
        return np.asarray(away * (1 - 1 / np.maximum(scaled, 1e-3)))


_NUCLEI: tuple[tuple[Place, Place, float, float], ...] = (
    ((9, -19, 13), (13, 10, 6), 15, NUCLEI),
    ((3, -2, 27), (13, 18, 5.5), 14, NUCLEI),
    ((1, 0, 20), (8, 10, 4.5), 18, NUCLEI - 75),
    ((8, 14, 11), (11, 15, 9), -18, NUCLEI - 8),
)
"""Caudate, putamen, pallidum (dark with iron) and thalamus: centre, radii, turn, intensity."""

_HORNS: tuple[tuple[tuple[Place, Place], tuple[float, float]], ...] = (
    (((4, -31, 8), (14, -20, 7)), (2.5, 3.8)),
    (((14, -20, 7), (20, 0, 8)), (3.8, 4.0)),
    (((20, 0, 8), (21, 18, 12)), (4.0, 4.6)),
    (((20, -30, 9), (21, -8, 8)), (2.0, 3.4)),
    (((21, 18, 12), (16, 32, 20)), (4.6, 6.0)),
    (((16, 32, 20), (10, 52, 22)), (5.5, 1.8)),
    (((16, 32, 20), (4, 30, 28)), (5.5, 3.5)),
    (((4, 30, 28), (-12, 12, 33)), (3.5, 2.0)),
    (((-12, 12, 33), (-16, -4, 31)), (2.0, 1.6)),
)
"""Ends and radii of the pieces of one lateral ventricle: horns in front, behind and at the side."""


def _mirrored(ends: tuple[Place, Place], side: int) -> tuple[Place, Place]:
    (z0, y0, x0), (z1, y1, x1) = ends
    return (z0, y0, x0 * side), (z1, y1, x1 * side)


def _in_one_piece(shape: Field) -> Field:
    """Return a shape without what furrows cut off from its largest part in this plane."""
    parts, count = label(shape < 0)
    if count < 2:
        return shape
    largest = np.argmax(np.bincount(parts.ravel())[1:]) + 1
    return np.where((parts == largest) | (parts == 0), shape, 2.0)


def _scanned(image: Field, noise: Field) -> Field:
    """Return the magnitude of a scan at 7/8 of the resolution, zero-filled, with thermal noise.

    The magnitude of a signal with equal normal noise in both channels is Rician.
    """
    rows, columns = image.shape
    kept = np.zeros(image.shape, bool)
    kept[rows // 16 : rows - rows // 16, columns // 16 : columns - columns // 16] = True
    level = NOISE / np.sqrt(kept.mean())  # what is cut off takes its share of the noise along
    spectrum = np.fft.fftshift(np.fft.fft2(image + level * (noise[0] + 1j * noise[1])))
    return np.asarray(np.abs(np.fft.ifft2(np.fft.ifftshift(np.where(kept, spectrum, 0)))))


def _paint_stem(canvas: Canvas) -> None:
    canvas.paint(canvas.ellipsoid((-10, -2, 0), (6, 9, 10)), FLUID)  # the cistern in front of the stem
    path = ((6, 8, 0), (-10, 14, 0), (-26, 18, 0), (-56, 26, 0))
    canvas.tube(path, (13.0, 14.0, 15.0, 8.0), MEDULLA + 20, STEM)
    canvas.paint(canvas.ellipsoid((-25, 12, 0), (13, 10, 17)), MEDULLA + 5, STEM)  # pons
    canvas.tube(((-4, 21, 0), (-16, 26, 0)), (1.2, 1.8), FLUID, VENTRICLE)  # aqueduct
    canvas.tube(((-10, 0, 1), (-30, -2, 0), (-50, 6, 3)), (1.8, 2.0, 1.8), 20.0)  # basilar artery, a flow void


def phantom(seed: int = 1849) -> Phantom:
    """Return the head on its tilted grid."""
    return Phantom("brain_mr", "MR", STRUCTURES, Geometry(SHAPE, _affine()), Brain(seed).slice)


def _affine() -> Field:
    """Return canonical voxel coordinates (z, y, x, 1) to RAS mm, tilted by `AFFINE_TURN`."""
    about_x, about_y, about_z = np.deg2rad(AFFINE_TURN)
    turns = [_rotation(1, 2, about_x), _rotation(2, 0, about_y), _rotation(0, 1, about_z)]
    axes = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])  # columns: Superior, Posterior, Left
    matrix = np.eye(4)
    matrix[:3, :3] = turns[2] @ turns[1] @ turns[0] @ axes @ np.diag(SPACING)
    middle = (np.array(SHAPE) - 1) / 2
    matrix[:3, 3] = (2.0, -14.0, 21.0) - matrix[:3, :3] @ middle
    return np.round(matrix, 6)


def _rotation(first: int, second: int, angle: float) -> Field:
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix
