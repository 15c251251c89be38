"""The transforms of the Segment Anything families, equal to those of their authors, and their way back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from references import RECIPES
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from skimage.transform import resize
from torch import nn
from torch.nn import functional

from napari_medfm.models import transforms
from napari_medfm.models.transforms import AreaUnit, CubicColour, CubicUnit, LinearColour, LinearGrey, LongestSide

SHAPES = {
    "square": (64, 64),
    "grey": (48, 64),
    "tall": (150, 40),
    "wide": (33, 120),
    "tiny": (3, 2),
    "one pixel": (1, 1),
    "larger": (300, 411),
    "odd": (255, 257),
}
SIDES = [128, 256]
shapes = st.tuples(st.integers(1, 900), st.integers(1, 900)).filter(lambda shape: max(shape) <= 100 * min(shape))


def noise(*shape):
    """Return uint8 noise."""
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def upstream_image(image, side):
    """Return what ``SamPredictor`` gives its encoder."""
    rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    encoder = nn.Identity()
    encoder.img_size = side
    sam = Sam(encoder, nn.Identity(), nn.Identity())
    scaled = torch.as_tensor(ResizeLongestSide(side).apply_image(rgb)).permute(2, 0, 1)[None]
    return sam.preprocess(scaled)


class TestImage:
    @pytest.mark.parametrize("side", SIDES)
    @pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "rgb"])
    @pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
    def test_equals_the_transform_of_segment_anything_bit_by_bit(self, shape, channels, side):
        image = noise(*shape, *channels)
        found = LongestSide(shape, side).image(image)
        assert found.dtype == torch.float32
        assert found.shape == (1, 3, side, side)
        assert torch.equal(found, upstream_image(image, side))

    def test_equals_it_at_the_size_of_the_published_weights(self):
        image = noise(512, 400)
        assert torch.equal(LongestSide((512, 400), 1024).image(image), upstream_image(image, 1024))

    @pytest.mark.parametrize(
        "cut", [np.s_[::2, ::3], np.s_[::-1, ::-1], np.s_[5:, 7:]], ids=["strided", "back", "part"]
    )
    def test_how_the_image_lies_in_memory_does_not_matter(self, cut):
        view = noise(90, 100)[cut]
        assert torch.equal(
            LongestSide(view.shape, 128).image(view), LongestSide(view.shape, 128).image(np.ascontiguousarray(view))
        )

    def test_an_image_that_nobody_may_write_to_is_taken(self):
        image = noise(20, 30)
        image.setflags(write=False)
        assert torch.equal(LongestSide((20, 30), 128).image(image), upstream_image(image, 128))

    def test_the_padding_is_zero_after_normalising(self):
        square = LongestSide((40, 80), 128).image(np.zeros((40, 80), np.uint8))
        assert (square[..., 64:, :] == 0).all()
        assert (square[..., :64, :] < -1).all()

    @pytest.mark.parametrize("shape", [(1, 2000), (2000, 1)])
    def test_an_image_a_thousand_times_as_long_as_wide_keeps_a_pixel(self, shape):
        frame = LongestSide(shape, 256)
        assert min(frame.scaled_shape) == 1
        assert max(frame.scaled_shape) == 256
        assert torch.isfinite(frame.image(noise(*shape))).all()
        assert frame.masks(torch.ones((1, 1, 64, 64))).shape == (1, 1, *shape)

    @given(shape=shapes, side=st.sampled_from([128, 256, 1024]))
    def test_the_scaled_shape_equals_that_of_segment_anything(self, shape, side):
        assert LongestSide(shape, side).scaled_shape == ResizeLongestSide.get_preprocess_shape(*shape, side)


class TestPoints:
    @given(
        shape=shapes,
        side=st.sampled_from([128, 256, 1024]),
        shares=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
    )
    def test_equal_those_of_segment_anything_and_lead_back(self, shape, side, shares):
        frame = LongestSide(shape, side)
        positions = np.asarray(shares) * shape
        found = frame.points(positions)
        assert np.array_equal(found, ResizeLongestSide(side).apply_coords(positions[:, ::-1], shape))
        back = found[:, ::-1] * np.divide(shape, frame.scaled_shape)
        assert np.allclose(back, positions, rtol=0, atol=1e-9)

    @given(shape=shapes)
    def test_the_corners_of_the_image_are_the_corners_of_what_the_encoder_sees(self, shape):
        frame = LongestSide(shape, 256)
        rows, columns = frame.scaled_shape
        corners = np.array([(0.0, 0.0), shape, (0.0, shape[1]), (shape[0], 0.0)])
        assert np.allclose(frame.points(corners), [(0, 0), (columns, rows), (columns, 0), (0, rows)], atol=1e-9)

    def test_no_point_is_no_point(self):
        assert LongestSide((40, 80), 128).points(np.zeros((0, 2))).shape == (0, 2)

    @pytest.mark.parametrize("shape", [(60, 90), (90, 60), (300, 200)])
    @pytest.mark.parametrize("share", [(0.2, 0.7), (0.8, 0.3), (0.5, 0.5)])
    def test_a_point_lies_where_its_pixel_went(self, shape, share):
        """A bright square of the image is bright in the encoder's input around the square's point."""
        image = np.zeros(shape, np.uint8)
        row, column = (int(size * part) for size, part in zip(shape, share, strict=True))
        image[row - 4 : row + 5, column - 4 : column + 5] = 255
        frame = LongestSide(shape, 256)
        bright = np.argwhere(frame.image(image)[0, 0].numpy() > 1)
        (x, y), *_ = frame.points(np.array([(row + 0.5, column + 0.5)]))
        assert np.allclose(bright.mean(axis=0) + 0.5, (y, x), atol=1)


class TestMasks:
    @pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
    def test_equal_those_of_segment_anything(self, shape):
        frame = LongestSide(shape, 256)
        low_res = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(4))
        encoder = nn.Identity()
        encoder.img_size = 256
        expected = Sam(encoder, nn.Identity(), nn.Identity()).postprocess_masks(low_res, frame.scaled_shape, shape)
        assert torch.equal(frame.masks(low_res), expected > 0)

    @pytest.mark.parametrize("shape", [(64, 64), (150, 100), (60, 120), (400, 411)])
    def test_a_mask_survives_the_way_to_the_decoder_and_back(self, shape):
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        radius = min(shape) / 4
        mask = (rows - shape[0] * 0.6) ** 2 + (columns - shape[1] * 0.4) ** 2 <= radius**2
        frame = LongestSide(shape, 256)
        back = frame.masks(torch.from_numpy(frame.low_res(mask, 64) - 0.5)[None, None])[0, 0].numpy()
        assert 2 * (back & mask).sum() / (back.sum() + mask.sum()) > 0.97

    @given(shape=shapes, size=st.sampled_from([16, 64]))
    def test_the_whole_image_fills_what_the_encoder_sees_and_no_more(self, shape, size):
        frame = LongestSide(shape, 128)
        shares = frame.low_res(np.ones(shape, np.bool_), size)
        cells = np.prod(frame.scaled_shape) * (size / 128) ** 2
        assert shares.shape == (size, size)
        assert shares.dtype == np.float32
        assert ((shares >= 0) & (shares <= 1.0001)).all()
        assert np.isclose(shares.sum(), cells, rtol=1e-3)
        assert not frame.low_res(np.zeros(shape, np.bool_), size).any()


def rgb_of(image):
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


class TestMedSam:
    """The recipe of MedSAM's inference script, written out."""

    @pytest.mark.parametrize("shape", [(200, 300), (300, 200, 3), (64, 64), (40, 41, 3)])
    def test_images_are_stretched_and_in_zero_to_one(self, shape):
        image = noise(*shape)
        square = resize(rgb_of(image), (256, 256), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
        expected = (square - square.min()) / np.clip(square.max() - square.min(), 1e-8, None)
        found = CubicUnit(shape[:2], 256).image(image)
        assert found.dtype == torch.float32
        assert torch.allclose(found[0], torch.tensor(expected).float().permute(2, 0, 1), atol=1e-6)

    def test_it_is_neither_the_shape_nor_the_values_of_segment_anything(self):
        image = noise(200, 300)
        ours, sams = CubicUnit((200, 300), 256).image(image), LongestSide((200, 300), 256).image(image)
        assert (ours.min(), ours.max()) == (0, 1)
        assert sams.min() < -1
        assert ours[0, 0, 200:].any()
        assert not sams[0, 0, 200:].any()

    def test_boxes_are_scaled_along_each_axis(self):
        rows, columns = 200, 300
        left, top, right, bottom = 30, 20, 240, 190
        expected = np.array([left, top, right, bottom]) / np.array([columns, rows, columns, rows]) * 1024
        found = CubicUnit((rows, columns), 1024).points(np.array([(top, left), (bottom, right)], float))
        assert np.allclose(found.reshape(4), expected, rtol=0, atol=1e-9)

    def test_probabilities_are_enlarged_and_cut_at_one_half(self):
        logits = 6 * torch.randn((1, 1, 64, 64), generator=torch.Generator().manual_seed(4))
        enlarged = functional.interpolate(torch.sigmoid(logits), (200, 300), mode="bilinear", align_corners=False)
        masks = CubicUnit((200, 300), 256).masks(logits)
        assert torch.equal(masks, enlarged > 0.5)
        logits_first = functional.interpolate(logits, (200, 300), mode="bilinear", align_corners=False) > 0
        assert not torch.equal(masks, logits_first)

    def test_a_plain_image_stays_plain(self):
        assert not CubicUnit((50, 60), 128).image(np.full((50, 60), 9, np.uint8)).any()


class TestLiteMedSam:
    """The recipe of LiteMedSAM's inference script, but for OpenCV's way of rounding."""

    @pytest.mark.parametrize("shape", [(512, 512), (600, 400, 3), (512, 256)])
    def test_images_are_reduced_by_areas_in_zero_to_one_and_padded_with_zeros(self, shape):
        image = noise(*shape)
        frame = AreaUnit(shape[:2], 256)
        rows, columns = frame.scaled_shape
        areas = functional.interpolate(
            torch.tensor(rgb_of(image)).permute(2, 0, 1)[None].double(), (rows, columns), mode="area"
        )
        if shape[0] % 256 == 0:  # whole numbers of pixels for each: areas are means
            low, high = areas.round().min(), areas.round().max()
            assert torch.allclose(
                frame.image(image)[..., :rows, :columns].double(), (areas - low) / (high - low), atol=0.02
            )
        found = frame.image(image)
        assert found.shape == (1, 3, 256, 256)
        assert (found.min(), found.max()) == (0, 1)
        assert not found[..., rows:, :].any()
        assert not found[..., columns:].any()

    def test_logits_are_cut_out_at_their_own_resolution_and_enlarged_once(self):
        frame = AreaUnit((300, 200), 256)
        logits = torch.randn((1, 1, 256, 256), generator=torch.Generator().manual_seed(4))
        rows, columns = frame.scaled_shape
        expected = functional.interpolate(
            logits[..., :rows, :columns], (300, 200), mode="bilinear", align_corners=False
        )
        assert torch.equal(frame.masks(logits), expected > 0)

    def test_small_images_are_enlarged(self):
        image = noise(40, 60)
        found = AreaUnit((40, 60), 256).image(image)
        assert found[0, 0, :171, :256].std() > 0.05


class TestScribblePrompt:
    """The recipe of ScribblePrompt's predictor, written out."""

    @pytest.mark.parametrize("shape", [(128, 128), (90, 200), (300, 64)])
    def test_grey_images_are_stretched_linearly_and_normalised(self, shape):
        image = noise(*shape)
        unit = torch.tensor(image / 255.0, dtype=torch.float32)[None, None]
        stretched = functional.interpolate(unit, size=(256, 256), mode="bilinear").repeat(1, 3, 1, 1)
        encoder = nn.Identity()
        encoder.img_size = 256
        expected = Sam(encoder, nn.Identity(), nn.Identity()).preprocess(255 * stretched)
        assert torch.allclose(LinearGrey(shape, 256).image(image), expected, atol=1e-5)

    def test_colour_becomes_grey(self):
        image = np.zeros((20, 30, 3), np.uint8)
        image[..., 1] = 200
        found = LinearGrey((20, 30), 64).image(image)
        assert torch.allclose(found[0, 0] * 58.395 + 123.675, torch.tensor(0.587 * 200), atol=1)
        assert torch.allclose(found[0, 0] * 58.395 + 123.675, found[0, 2] * 57.375 + 103.53, atol=1e-3)

    def test_masks_are_those_of_segment_anything_for_a_square(self):
        logits = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(4))
        encoder = nn.Identity()
        encoder.img_size = 256
        expected = Sam(encoder, nn.Identity(), nn.Identity()).postprocess_masks(logits, (256, 256), (90, 200))
        assert torch.equal(LinearGrey((90, 200), 256).masks(logits), expected > 0)


@pytest.mark.parametrize(("recipe", "kind"), [("sam2", LinearColour), ("medsam2", CubicColour)])
class TestSam2:
    """The recipes of the image predictor of SAM 2, which is torchvision's, and of the scripts of MedSAM2."""

    @pytest.mark.parametrize("shape", [*SHAPES.values(), (90, 200, 3), (256, 256, 3)])
    def test_images(self, recipe, kind, shape):
        image = noise(*shape)
        found = kind(shape[:2], 256).image(image)
        assert found.shape == (1, 3, 256, 256)
        assert torch.allclose(found, RECIPES[recipe].tensor(image, 256), atol=1e-5)

    def test_an_image_that_nobody_may_write_to_is_taken(self, recipe, kind):
        image = noise(20, 30, 3)
        image.setflags(write=False)
        assert torch.equal(kind((20, 30), 64).image(image), kind((20, 30), 64).image(image.copy()))

    def test_positions_are_scaled_along_each_axis(self, recipe, kind):
        found = kind((50, 100), 256).points(np.array([[50.0, 100.0], [25.0, 10.0]]))
        assert np.allclose(found, RECIPES[recipe].place(np.array([[100.0, 50.0], [10.0, 25.0]]), (50, 100), 256))

    def test_logits_are_enlarged_once(self, recipe, kind):
        logits = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(4))
        found = kind((90, 200), 256).masks(logits)
        assert torch.equal(found, RECIPES[recipe].masks(logits, (90, 200), 256))


@pytest.mark.parametrize("kind", [AreaUnit, CubicUnit, LinearGrey, LinearColour, CubicColour])
@pytest.mark.parametrize("shape", [(64, 64), (150, 100), (60, 120)])
def test_a_mask_survives_the_way_of_any_transform_to_the_decoder_and_back(kind, shape):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    disc = (rows - shape[0] / 2) ** 2 + (columns - shape[1] / 2) ** 2 <= (min(shape) / 4) ** 2
    frame = kind(shape, 256)
    shares = frame.low_res(disc, 64)
    assert shares.shape == (64, 64)
    assert shares.dtype == np.float32
    back = frame.masks(torch.logit(torch.from_numpy(shares), eps=1e-3)[None, None])[0, 0]
    overlap = (back.numpy() & disc).sum()
    assert 2 * overlap / (back.sum() + disc.sum()) > 0.95


@pytest.mark.parametrize("kind", [AreaUnit, CubicUnit, LinearGrey, LinearColour, CubicColour])
def test_a_point_lies_where_its_pixel_went_in_any_transform(kind):
    image = np.zeros((60, 90), np.uint8)
    image[20:29, 60:69] = 255
    frame = kind((60, 90), 256)
    square = frame.image(image)[0, 0].numpy()
    bright = np.argwhere(square > (square.min() + square.max()) / 2)
    (x, y), *_ = frame.points(np.array([(24.5, 64.5)]))
    assert np.allclose(bright.mean(axis=0) + 0.5, (y, x), atol=1.5)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1000, 1300),
    columns=st.integers(2000, 2600),
    spot=st.tuples(st.integers(0, 63), st.integers(0, 63)),
    size=st.integers(1, 30),
)
def test_of_a_large_image_only_the_part_that_can_be_positive_is_enlarged_with_the_same_result(
    rows, columns, spot, size
):
    scores = torch.full((1, 2, 64, 64), -3.0)
    scores[0, 0, spot[0] : spot[0] + size, spot[1] : spot[1] + size] = 4.0
    scores += torch.randn(scores.shape, generator=torch.Generator().manual_seed(size)) * 0.5
    whole = functional.interpolate(scores, (rows, columns), mode="bilinear", align_corners=False)
    assert (transforms._inside(scores, (rows, columns)) != (whole > 0)).sum() <= 2  # nearly 0 rounds either way


def test_a_large_image_without_anything_has_an_empty_mask():
    assert not transforms._inside(torch.full((1, 1, 64, 64), -1.0), (1500, 2000)).any()
    assert transforms._inside(torch.full((1, 1, 64, 64), 1.0), (1500, 2000)).all()


@pytest.mark.parametrize("kind", [LongestSide, AreaUnit])
@pytest.mark.parametrize("aspect", [5.0, 3.0, 0.25])
def test_what_is_round_in_millimetres_is_round_to_the_model(kind, aspect):
    rows, columns = (40, 160) if aspect > 1 else (160, 40)
    down, right = (np.arange(rows)[:, None] - 0.45 * rows) * aspect, np.arange(columns)[None] - 0.45 * columns
    disc = down**2 + right**2 <= 15**2
    frame = kind((rows, columns), 256, aspect)
    seen = frame.image(disc.astype(np.uint8) * 255)[0, 0].numpy()
    bright = np.argwhere(seen > (seen.max() + seen.min()) / 2)
    high, wide = np.ptp(bright, axis=0) + 1
    assert high / wide == pytest.approx(1, abs=0.15)
    middle = np.argwhere(disc).mean(axis=0)[None] + 0.5
    assert frame.points(middle)[0] - 0.5 == pytest.approx(bright.mean(axis=0)[::-1], abs=2)
    assert frame.masks(torch.zeros(1, 1, 64, 64)).shape == (1, 1, rows, columns)


@pytest.mark.parametrize("kind", [CubicUnit, LinearGrey, LinearColour, CubicColour])
def test_what_is_stretched_to_a_square_is_so_whatever_the_shape_of_its_pixels(kind):
    image = np.random.default_rng(0).integers(0, 255, (20, 50), np.uint8)
    plain, flat = kind(image.shape, 64), kind(image.shape, 64, 5.0)
    assert torch.equal(plain.image(image), flat.image(image))
    corners = np.array([[0.0, 0.0], [19.0, 49.0]])
    assert np.array_equal(plain.points(corners), flat.points(corners))
    assert np.allclose(plain.points(corners + 0.5)[1], 64, atol=2)  # the far corner of the image is that of the square
