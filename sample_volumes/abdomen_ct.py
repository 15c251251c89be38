"""An abdomen in portal-venous computed tomography, in Hounsfield units.

The frame: x towards the patient's left, y towards the back, z towards the head, in mm;
x = 0 is the midline, z = 0 the lowest slice of the sample, about the lower kidney poles.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from phantom import Phantom, Slice, Structure
from scipy.ndimage import gaussian_filter
from shapes import Canvas, Field, Grain, Place, Waves, common, union

from napari_medfm.volume import Geometry

STRUCTURES = (
    Structure("liver", "#b4513c"),
    Structure("spleen", "#7a4fa3"),
    Structure("right kidney", "#e3b23c"),
    Structure("left kidney", "#d9822b"),
    Structure("vertebrae", "#e8e3d3"),
    Structure("aorta", "#d7263d"),
    Structure("liver lesion", "#3fae49", parent="liver"),
)
LIVER, SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, VERTEBRAE, AORTA, LESION = range(1, 8)

AIR, LUNG, FAT, SKIN, MUSCLE, WATER = -1000.0, -840.0, -105.0, 15.0, 58.0, 8.0
NOISE = 11.0
"""Standard deviation in HU in the middle of the body."""

_KIDNEY_HEIGHT = {-1: 58.0, 1: 66.0}
BODY_HALF, BODY_CENTRE = (117.0, 160.0), -6.0
LESIONS: tuple[tuple[Place, Place, float], ...] = (
    ((62.0, -28.0, -98.0), (9.0, 8.0, 10.0), -30.0),
    ((92.0, 22.0, -92.0), (11.0, 10.0, 8.0), -24.0),
    ((104.0, -52.0, -38.0), (7.0, 7.0, 6.0), -34.0),
    ((98.0, -66.0, 6.0), (7.0, 6.0, 8.0), -28.0),
)
"""Centre and radii in mm, contrast to the liver in HU."""


@dataclass(frozen=True)
class Grid:
    """The voxels to be computed.

    Attributes
    ----------
    slices, size : int
        Slices, and rows and columns of each.
    spacing : (float, float)
        mm per slice and per row or column.
    layers : int
        Thin layers whose mean is a slice; odd, the middle one gives the labels.
    """

    slices: int
    size: int
    spacing: tuple[float, float]
    layers: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, rows, columns)."""
        return self.slices, self.size, self.size

    def height(self, index: int) -> float:
        """Return the mm at which a slice is computed: slices thinner than 1 mm share a layer."""
        middle = (index + 0.5) * self.spacing[0]
        return middle if self.spacing[0] >= 1.0 else float(np.floor(middle) + 0.5)

    @property
    def line(self) -> Field:
        """Coordinates in mm of the rows, and of the columns."""
        return np.asarray((np.arange(self.size) - (self.size - 1) / 2) * self.spacing[1])


SAMPLE = Grid(26, 240, (5.0, 1.5), layers=5)
LARGE = Grid(300, 512, (0.5, 0.7), layers=1)


class Abdomen:
    """One patient; equal seeds are equal patients.

    Parameters
    ----------
    seed : int
        Seeds shapes, textures and noise.
    """

    def __init__(self, seed: int = 2026) -> None:
        rng = np.random.default_rng(seed)
        self._seed = seed
        self._sway = [Waves.random(rng, (130, 260)) for _ in "yx"]
        self._ripple = Waves.random(rng, (22, 50))
        self._bumps = Waves.random(rng, (11, 24))
        self._lobes = Waves.random(rng, (9, 16))
        self._fine = Grain.random(rng, 3.0)
        self._coarse = Waves.random(rng, (6, 15), 24)
        self._loops = [_bowel_loop(rng) for _ in range(30)]
        self._twigs = [_twig(rng) for _ in range(110)]
        self._latest: tuple[tuple[float, Grid], Field, NDArray[np.uint8]] | None = None

    def slice(self, index: int, grid: Grid) -> Slice:
        """Return the image in HU and the labels of one slice, counted from below."""
        clean, labels = self._clean(grid.height(index), grid)
        rng = np.random.default_rng([self._seed, index])
        noise = reconstruction_noise(grid.size, grid.spacing[1], rng)
        level = _noise_level(grid.line) * np.sqrt(SAMPLE.spacing[0] / grid.spacing[0])  # thin slices are noisier
        return np.clip(np.round(clean + noise * level), -1024, 3071).astype(np.int16), labels

    def _clean(self, height: float, grid: Grid) -> tuple[Field, NDArray[np.uint8]]:
        if self._latest is None or self._latest[0] != (height, grid):
            offsets = ((np.arange(grid.layers) + 0.5) / grid.layers - 0.5) * grid.spacing[0]
            layers = [self.layer(height + offset, grid) for offset in offsets]
            clean = np.mean([intensity for intensity, _ in layers], axis=0)
            self._latest = ((height, grid), gaussian_filter(clean, 0.45), layers[len(layers) // 2][1])
        return self._latest[1:]

    def layer(self, z: float, grid: Grid) -> tuple[Field, NDArray[np.uint8]]:
        """Return intensity and labels of an infinitely thin slice without noise at a height in mm."""
        down = across = grid.line
        # Bands that fit the processor's cache: three times as fast.
        bands = [self._band(z, part, across) for part in np.array_split(down, max(1, grid.size // 60))]
        return np.concatenate([band.intensity for band in bands]), np.concatenate([band.labels for band in bands])

    def _band(self, z: float, down: Field, across: Field) -> Canvas:
        sway = [3.0 * waves.at(z, down, across) for waves in self._sway]
        canvas = Canvas.blank(z, (down, across), (sway[0], sway[1]), AIR)
        _paint_couch(canvas)
        frame = _Frame(canvas, self._ripple.on(canvas))
        if frame.body.min() < canvas.pixel:
            self._paint_wall(canvas, frame)
            self._paint_bowel(canvas, frame)
            self._paint_organs(canvas, frame)
            _paint_vessels(canvas)
            self._paint_spine(canvas)
        return canvas

    def _paint_wall(self, canvas: Canvas, frame: "_Frame") -> None:
        fine = self._fine.on(canvas)
        canvas.paint(frame.body, SKIN)
        canvas.paint(frame.body + 2.2, FAT + 7 * self._coarse.on(canvas))
        septa = np.abs(frame.body + 9.0 + 2.0 * frame.ripple) - 0.35
        canvas.paint(common(septa, frame.muscle), -60.0)
        canvas.paint(frame.muscle, MUSCLE + 4 * fine)
        for depth in (5.0, 9.5):  # the three layers of the flank part by a little fat
            part = common(np.abs(frame.muscle + depth + frame.ripple) - 0.45, 22.0 - np.abs(frame.angle - 90))
            canvas.paint(part, -30.0)
        canvas.paint(common(np.abs(canvas.x) - 1.6, frame.muscle + 1.0, canvas.y + 60), 25.0)  # linea alba
        for side in (-1, 1):
            self._paint_back(canvas, side)
        _paint_ribs(canvas, frame, fine)
        canvas.paint(frame.cavity, FAT + 9 * self._coarse.on(canvas))
        canvas.paint(frame.lung, LUNG + 25 * self._coarse.on(canvas))
        diaphragm = common(np.abs(frame.lung - 1.5) - 1.3, frame.cavity)
        canvas.paint(diaphragm, MUSCLE)
        canvas.paint(common(frame.heart, frame.cavity), FAT)
        canvas.paint(common(frame.heart + 7.0 + 2.0 * frame.ripple, frame.cavity), 132.0)

    def _paint_back(self, canvas: Canvas, side: int) -> None:
        streaks = 14 * self._lobes.at(0.15 * canvas.z, canvas.down, canvas.across) - 16
        canvas.paint(canvas.ellipsoid((70, 75, 31 * side), (400, 19, 27), 12 * side), MUSCLE + np.minimum(streaks, 0))
        canvas.paint(canvas.ellipsoid((70, 58, 58 * side), (400, 10, 24), -18 * side), MUSCLE)

    def _paint_bowel(self, canvas: Canvas, frame: "_Frame") -> None:
        for path in self._twigs:
            canvas.tube(path, (2.2, 1.8, 1.5, 1.2), 135.0)
        for path, radius, content in self._loops:
            canvas.tube(path, [radius] * len(path), 92.0)
            canvas.tube(path, [radius - 2.6] * len(path), content)
        self._paint_stomach(canvas, frame)
        self._paint_colon(canvas, frame)

    def _paint_stomach(self, canvas: Canvas, frame: "_Frame") -> None:
        sac = frame.stomach
        canvas.paint(sac, 82.0)
        lumen = sac + 4.5 + 1.2 * self._lobes.on(canvas)
        food = 28 + 16 * self._coarse.on(canvas)
        canvas.paint(lumen, food)
        canvas.paint(common(lumen, canvas.y + 62), -960.0)  # gas rises to the front and lies level

    def _paint_colon(self, canvas: Canvas, frame: "_Frame") -> None:
        haustra = 3.0 * np.sin(2 * np.pi * canvas.z / 26)
        pouches = 3.0 * np.sin(2 * np.pi * canvas.x / 30 + 1.0)
        right = canvas.ellipsoid((10, 2, -104), (48, 26, 24)) + haustra
        left = canvas.ellipsoid((24, 22, 112), (62, 15, 15)) + 0.4 * haustra
        across = canvas.capsule((34, -76, -88), (52, -80, 92), (16, 15)) + pouches
        stool = 15 + 30 * self._coarse.on(canvas)
        stool = np.where(self._fine.on(canvas) + self._coarse.on(canvas) > 1.3, -420.0, stool)
        for tube, gas_below in ((right, -12.0), (left, -90.0), (across, -84.0)):
            wall = common(tube, frame.cavity + 2)
            canvas.paint(wall, 75.0)
            canvas.paint(wall + 3.0, stool)
            canvas.paint(common(wall + 3.0, canvas.y - gas_below), -970.0)

    def _paint_organs(self, canvas: Canvas, frame: "_Frame") -> None:
        fine, coarse = self._fine.on(canvas), self._coarse.on(canvas)
        for side in (-1, 1):
            canvas.paint(common(frame.kidney_bed(side) - 5, frame.cavity), FAT, 0)
            self._paint_psoas(canvas, side)
        liver = frame.liver
        canvas.paint(liver, 108 + 3.0 * coarse + 2.0 * fine, LIVER)
        self._paint_liver_vessels(canvas, liver)
        for place, radii, contrast in LESIONS:
            self._paint_lesion(canvas, liver, place, radii, 108 + contrast)
        gall = canvas.ellipsoid((36, -52, -44), (26, 21, 15), 20) + 0.6 * frame.ripple
        canvas.paint(gall, 70.0, 0)
        canvas.paint(gall + 2.0, WATER)
        canvas.paint(frame.spleen, 122 + 3.0 * coarse + 2.0 * fine, SPLEEN)
        self._paint_pancreas(canvas)
        for label, side in ((RIGHT_KIDNEY, -1), (LEFT_KIDNEY, 1)):
            self._paint_kidney(canvas, frame.kidney(side), side, label)

    def _paint_psoas(self, canvas: Canvas, side: int) -> None:
        radius = 6.0 + 0.17 * max(95.0 - canvas.z, 0.0)
        if canvas.z < 95:
            shape = canvas.ellipsoid((canvas.z, 44, (22 + radius * 0.75) * side), (50, radius, 0.8 * radius), 15 * side)
            canvas.paint(shape, MUSCLE + 4)
        crus = canvas.capsule((0, 26, 12 * side), (145, 14, 17 * side), (4.0, 5.5))
        canvas.paint(crus, MUSCLE + 6)

    def _paint_liver_vessels(self, canvas: Canvas, liver: Field) -> None:
        before = canvas.intensity.copy()
        for path, radii in _LIVER_VEINS:
            canvas.tube(path, radii, 152.0)
        canvas.intensity[:] = np.where(liver < 0, canvas.intensity, before)

    def _paint_lesion(self, canvas: Canvas, liver: Field, place: Place, radii: Place, level: float) -> None:
        reach = max(radii)
        part = canvas.part((place[1] - reach, place[1] + reach), (place[2] - reach, place[2] + reach))
        if abs(canvas.z - place[0]) > reach + 6 or part is None:
            return
        shape = part.ellipsoid(place, radii, 30) + 1.3 * self._bumps.on(part)
        core = level - 8 * np.clip(-shape / reach, 0, 1)
        part.paint(shape, core + 4 * self._fine.on(part), LESION)

    def _paint_pancreas(self, canvas: Canvas) -> None:
        path = ((46, 2, -30), (62, -14, 2), (80, -4, 44), (96, 18, 78))
        radii = ((12.0, 9.0), (9.0, 9.0), (9.0, 7.0))
        pieces = [canvas.capsule(*ends, wide) for ends, wide in zip(itertools.pairwise(path), radii, strict=True)]
        shape = np.minimum.reduce(pieces)
        lobules = 1.8 * self._lobes.on(canvas)
        canvas.paint(shape + lobules, 98 + 9 * self._fine.on(canvas))

    def _paint_kidney(self, canvas: Canvas, kidney: Field, side: int, label: int) -> None:
        medulla = kidney + 8.0 + 4.0 * self._lobes.on(canvas)
        canvas.paint(kidney, 182 + 4 * self._fine.on(canvas), label)
        canvas.paint(medulla, 138.0)
        centre = (_KIDNEY_HEIGHT[side], 37, 50 * side)
        sinus = canvas.ellipsoid(centre, (30, 10, 15), 30 * side) + 0.3 * medulla
        canvas.paint(sinus, FAT + 25, 0)
        canvas.tube(((centre[0] - 14, 36, 54 * side), (centre[0] + 14, 36, 54 * side)), (4.0, 4.0), WATER + 4)

    def _paint_spine(self, canvas: Canvas) -> None:
        height = (canvas.z + 6.0) % 34.0  # 0..26 a vertebra, 26..34 a disc
        fine = self._fine.on(canvas)
        body = canvas.ellipsoid((canvas.z, 44, 0), (60, 17.5, 23))
        waist = body + 2.2 * np.exp(-(((height - 13) / 7) ** 2)) + 0.5
        plate = min(height, 26.0 - height)  # mm to the nearer end plate
        if height > 26:
            canvas.paint(body - 1.0, 92.0, 0)
        else:
            spongy = 180 + 38 * fine
            canvas.paint(waist, 540.0, VERTEBRAE)
            canvas.paint(waist + 1.8, spongy if plate > 1.0 else 430.0, VERTEBRAE)
        self._paint_arch(canvas, height)

    def _paint_arch(self, canvas: Canvas, height: float) -> None:
        ring = canvas.ellipsoid((canvas.z, 71, 0), (60, 9, 11))
        bone = np.abs(ring - 2.2) - 2.4
        if not 8 < height < 20:  # between the pedicles the nerves leave
            bone = common(bone, 70 - canvas.y)
        if height < 24:
            spine = canvas.capsule((canvas.z, 82, 0), (canvas.z, 101 - 0.3 * height, 0), (3.4, 2.6))
            bone = union(bone, spine, 3)
        if 9 < height < 19:
            for side in (-1, 1):
                bone = union(bone, canvas.capsule((canvas.z, 66, 14 * side), (canvas.z, 70, 38 * side), (4, 3)), 3)
        canvas.paint(bone, 560.0, VERTEBRAE)
        canvas.paint(bone + 2.0, 260 + 30 * self._fine.on(canvas))
        canvas.paint(ring, 12.0, 0)
        canvas.paint(canvas.ellipsoid((canvas.z, 71, 0), (60, 4.5, 6)), 38.0)


class _Frame:
    """The distances that several organs are cut to fit."""

    def __init__(self, canvas: Canvas, ripple: Field) -> None:
        self._canvas = canvas
        self.ripple = ripple
        self.angle = np.abs(np.rad2deg(np.arctan2(canvas.x, canvas.y - BODY_CENTRE)))  # 0 at the back, 180 in front
        self.body = _body(canvas.y, canvas.x)
        flank = np.exp(-(((self.angle - 95) / 45) ** 2))
        self.muscle = self.body + 20.0 - 6.0 * flank + 0.6 * ripple
        front = np.clip((self.angle - 130) / 30, 0, 1)
        self.cavity = self.muscle + 12.0 - 3.5 * front
        self.cavity = common(self.cavity, -canvas.ellipsoid((70, 77, 0), (400, 33, 66)))

    @cached_property
    def lung(self) -> Field:
        """The bases of both lungs above the diaphragm's domes."""
        canvas = self._canvas
        right = canvas.ellipsoid((46, -8, -66), (104, 104, 92))
        left = canvas.ellipsoid((40, -8, 72), (98, 98, 86))
        recess = canvas.z - 84 + 0.42 * canvas.y  # deep behind, shallow in front
        spine = canvas.ellipsoid((100, 44, 0), (400, 36, 42))
        return common(self.cavity - 1.0, 2.0 - union(right, left, 30), -self.heart, 4.0 - spine, -recess)

    @cached_property
    def heart(self) -> Field:
        """The heart's lower face with its fat, above the diaphragm."""
        return self._canvas.ellipsoid((160, -44, 12), (46, 46, 64), -15)

    @cached_property
    def liver(self) -> Field:
        """Both lobes, with the notch of the falciform ligament, cut to fit its neighbours."""
        canvas = self._canvas
        right = canvas.ellipsoid((76, 4, -78), (78, 82, 74))
        dome = canvas.ellipsoid((104, -10, -60), (60, 90, 84))
        left = canvas.ellipsoid((108, -62, 14), (38, 32, 66), -10)
        lobes = union(union(right, dome, 14), left, 16)
        notch = canvas.capsule((60, -108, -6), (118, -62, -16), (4.0, 1.5))
        porta = canvas.ellipsoid((78, 8, -22), (26, 13, 30), -20)
        shape = common(lobes + 1.6 * self.ripple, self.cavity + 3.0, -notch, -porta)
        away = common(3.5 - self.kidney_bed(-1), -canvas.ellipsoid((70, 44, 0), (400, 40, 42)))
        return common(shape, away, 3.0 - self.lung, 2.0 - self.stomach, 3.0 - self.heart)

    @cached_property
    def spleen(self) -> Field:
        """A crescent between stomach, kidney and ribs."""
        canvas = self._canvas
        whole = canvas.ellipsoid((92, 26, 104), (46, 56, 42), -15)
        hilum = canvas.ellipsoid((92, 6, 62), (70, 50, 34), -25)
        shape = common(whole + 1.2 * self.ripple, 1.5 - hilum, self.cavity + 3.0, 3.0 - self.lung)
        return common(shape, 3.0 - self.kidney_bed(1), 1.5 - self.stomach)

    @cached_property
    def stomach(self) -> Field:
        """The sac below the left dome, its outlet towards the midline in front."""
        canvas = self._canvas
        body = canvas.ellipsoid((112, -22, 62), (44, 42, 38), 25)
        outlet = canvas.ellipsoid((73, -62, 28), (21, 22, 44), -15)
        return common(union(body, outlet, 18) + 1.5 * self.ripple, self.cavity + 4, 3.0 - self.heart)

    def kidney_bed(self, side: int) -> Field:
        """The kidney as if it had no hilum; `side` -1 right, 1 left."""
        middle = _KIDNEY_HEIGHT[side]
        lean = 0.16 * (self._canvas.z - middle)
        bean = self._canvas.ellipsoid((middle, 40, (66 - lean) * side), (52, 26, 28), 35 * side)
        return np.asarray(bean + 0.7 * self.ripple)

    def kidney(self, side: int) -> Field:
        """A bean that leans towards the spine at its top; `side` -1 right, 1 left."""
        middle = _KIDNEY_HEIGHT[side]
        lean = 0.16 * (self._canvas.z - middle)
        hilum = self._canvas.ellipsoid((middle, 34, (38 - lean) * side), (26, 12, 17), 20 * side)
        return common(self.kidney_bed(side), -hilum)


def phantom(grid: Grid = SAMPLE, seed: int = 2026) -> Phantom:
    """Return the abdomen on a grid; the patient lies straight, the midline at world x = 0."""
    thickness, pixel = grid.spacing
    affine = np.eye(4)
    affine[:3, :3] = ((0, 0, -pixel), (0, -pixel, 0), (thickness, 0, 0))
    affine[:3, 3] = (-grid.line[0], -grid.line[0] - 40.0, thickness / 2 - 620.0)
    draw = partial(Abdomen(seed).slice, grid=grid)
    return Phantom("abdomen_ct", "CT", STRUCTURES, Geometry(grid.shape, affine), draw)


def reconstruction_noise(size: int, pixel: float, rng: np.random.Generator) -> Field:
    """Return noise as filtered back-projection leaves it: grainy, with little power at low frequencies.

    Its power spectrum is that of white detector noise after the ramp filter with a
    Hann window: rising with frequency, then falling (Kijewski & Judy, 1987).

    Parameters
    ----------
    size : int
        Rows and columns.
    pixel : float
        mm per pixel.
    rng : numpy.random.Generator
        Draws the noise.

    Returns
    -------
    ndarray, (size, size)
        Zero mean, unit variance.
    """
    frequency = np.hypot(np.fft.fftfreq(size, pixel)[:, None], np.fft.rfftfreq(size, pixel)[None])
    cutoff = min(0.5 / pixel, 0.62)  # cycles per mm of a soft-tissue kernel
    window = np.where(frequency < cutoff, 0.5 + 0.5 * np.cos(np.pi * frequency / cutoff), 0.0)
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    noise = np.fft.irfft2(spectrum * np.sqrt(frequency) * window, (size, size))
    return np.asarray(noise / noise.std())


def _noise_level(line: Field) -> Field:
    """Return the standard deviation of the noise: highest where rays cross most tissue."""
    depth = np.maximum(-_body(line[:, None], line[None]), 0.0)
    return NOISE * (0.45 + 0.55 * (1 - np.exp(-depth / 45.0)))


def _body(y: Field, x: Field) -> Field:
    """Return mm to the skin along the ray from the middle of the body."""
    down, across = y - BODY_CENTRE, x
    flat = np.where(down > 0, 0.94, 1.0)  # one lies on one's back
    order = 2.3
    scale = (np.abs(down / (BODY_HALF[0] * flat)) ** order + np.abs(across / BODY_HALF[1]) ** order) ** (1 / order)
    return np.hypot(down, across) * (1 - 1 / np.maximum(scale, 1e-3))


def _paint_couch(canvas: Canvas) -> None:
    """Paint a carbon shell filled with foam; it does not bend with the patient."""
    y, x = canvas.down[:, None], canvas.across[None]
    top = y - (112.0 - x**2 / 900.0)
    bottom = y - (146.0 - x**2 / 420.0)
    inside = common(-top, bottom, np.abs(x) - 172)
    canvas.paint(inside, -900.0)
    shell = common(np.abs(inside) - 1.6, np.abs(x) - 173)
    canvas.paint(shell, 120.0)


def _paint_ribs(canvas: Canvas, frame: _Frame, fine: Field) -> None:
    """Ribs fall from the spine to the front, so a slice cuts each at another angle."""
    across = (canvas.z + 1.15 * frame.angle) % 30.0 - 15.0
    rib = np.hypot((frame.muscle + 7.0) / 4.0, across / 6.5) * 4.0 - 4.0
    margin = 14.0 + 1.5 * np.maximum(frame.angle - 85.0, 0.0)  # below it there are no ribs
    rib = common(rib, frame.angle - 150, 22 - frame.angle, margin - canvas.z)
    canvas.paint(rib, 480.0)
    canvas.paint(rib + 1.8, 170 + 30 * fine)


def _paint_vessels(canvas: Canvas) -> None:
    canvas.tube(((-5, 16, 9), (60, 14, 8), (150, 12, 5)), (8.5, 9.5, 11.5), 168.0, AORTA)
    canvas.tube(((-5, 18, -20), (70, 12, -20), (110, -2, -18), (150, -12, -14)), (11, 12, 12, 12), 142.0)
    mesenteric = ((64, 4, 8), (66, -14, 10), (40, -28, 10), (-5, -36, 4))
    canvas.tube(mesenteric, (4.0, 3.5, 3.2, 3.0), 165.0)
    canvas.tube(((88, 2, 6), (90, -10, 4), (92, -6, -22)), (4.0, 3.0, 2.5), 165.0)  # coeliac trunk
    canvas.tube(((60, 18, -24), (58, 32, -48)), (5.0, 4.0), 146.0)  # renal veins
    canvas.tube(((64, 6, -14), (68, 0, 8), (66, 28, 40), (66, 36, 52)), (5.0, 4.5, 5.0, 4.0), 146.0)
    canvas.tube(((-5, -32, -14), (50, -18, -16), (70, -10, -14)), (5.0, 6.0, 6.5), 150.0)  # superior mesenteric vein
    canvas.tube(((70, -10, -14), (84, 4, 40), (98, 20, 76)), (5.0, 4.5, 4.0), 150.0)  # splenic vein


_LIVER_VEINS: tuple[tuple[tuple[Place, ...], tuple[float, ...]], ...] = (
    (((68, -4, -12), (80, -8, -34), (86, -8, -56)), (7.0, 6.5, 5.5)),
    (((86, -8, -56), (84, 8, -84), (78, 26, -104)), (5.0, 3.6, 2.0)),
    (((86, -8, -56), (96, -30, -80), (98, -48, -96)), (4.6, 3.2, 1.8)),
    (((84, 8, -84), (66, 6, -104), (46, 4, -114)), (3.2, 2.4, 1.5)),
    (((80, -8, -34), (98, -36, -24), (104, -60, 2), (100, -66, 30)), (4.5, 3.8, 3.0, 1.8)),
    (((132, 0, -22), (122, 16, -60), (104, 26, -100)), (5.0, 4.0, 2.2)),
    (((132, -6, -24), (122, -34, -56), (100, -60, -76)), (4.6, 3.8, 2.0)),
    (((132, -10, -16), (122, -44, -18), (110, -76, -22)), (4.2, 3.2, 1.8)),
    (((118, -36, -60), (108, -30, -84), (92, -22, -106)), (2.6, 2.0, 1.4)),
)


def _bowel_loop(rng: np.random.Generator) -> tuple[list[Place], float, float]:
    """Return a walk through the front of the cavity, higher on the left, with its radius and content."""
    place = np.array([rng.uniform(-15, 75), rng.uniform(-70, 10), rng.uniform(-70, 95)])
    heading = rng.normal(size=3)
    path = [tuple(place)]
    for _ in range(4):
        heading = heading / np.linalg.norm(heading) + rng.normal(scale=0.8, size=3)
        place = place + 14 * heading / np.linalg.norm(heading)
        highest = 82 if place[2] > 20 else 45
        place = np.clip(place, (-25, -72, -78), (highest, 8, 98))
        path.append(tuple(place))
    return path, float(rng.uniform(8.0, 12.5)), float(rng.choice([30.0, 42.0, 60.0, 75.0, 20.0]))


def _twig(rng: np.random.Generator) -> list[Place]:
    start = np.array([rng.uniform(-5, 100), rng.uniform(-70, 12), rng.uniform(-70, 95)])
    steps = np.cumsum(rng.normal(scale=(7, 7, 9), size=(3, 3)), axis=0)
    return [tuple(start), *(tuple(start + step) for step in steps)]
