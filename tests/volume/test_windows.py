import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_medfm.volume import PRESETS, Volume, Window, array_geometry, automatic_window, open_volume

RNG = np.random.default_rng(5)


def volume(array, modality="", ndim=3):
    return Volume(array, array_geometry(array.shape[:ndim]), modality=modality)


def tissue(**shares):
    """Return a CT-like volume, 40x40x40, made of tissues in the given shares; the rest is air around the body."""
    levels = {"lung": (-800, 50), "fat": (-100, 15), "soft": (55, 15), "brain": (35, 6), "bone": (700, 150)}
    parts = [RNG.normal(*levels[name], int(share * 64000)) for name, share in shares.items()]
    body = np.concatenate(parts)
    air = np.full(64000 - body.size, -1000.0)
    return RNG.permutation(np.concatenate([body, air])).round().astype(np.int16).reshape(40, 40, 40)


def test_the_presets_are_the_usual_widths_and_levels():
    shown = {name: (window.width, window.level) for name, window in PRESETS.items()}
    assert shown == {
        "abdomen": (400, 40),
        "lung": (1500, -600),
        "brain": (80, 40),
        "mediastinum": (350, 50),
        "bone": (1800, 400),
    }


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (0, 1e-31), (np.nan, 1), (0, np.inf)])
def test_an_empty_reversed_or_infinite_window_is_refused(limits):
    with pytest.raises(ValueError, match="finite low < high"):
        Window("custom", *limits)


def test_the_key_names_what_changes_the_picture_and_nothing_else():
    assert Window("a", 0, 1).key == Window("b", 0.0, 1.0).key
    assert Window("a", 0, 1).key != Window("a", 0, 1.0000001).key


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_values_are_mapped_linearly_rounded_and_clipped(dtype):
    values = np.array([0, 100, 200, 350, 600, 1000], dtype)
    assert Window("w", 100, 600).to_uint8(values).tolist() == [0, 0, 51, 128, 255, 255]


@settings(deadline=None)
@given(
    hnp.arrays(np.float64, 20, elements=st.floats(width=64)),
    st.floats(-1.7e308, 1.7e308, allow_subnormal=False),
    st.floats(-1.7e308, 1.7e308, allow_subnormal=False),
)
def test_any_value_in_any_window_is_safe_and_monotonic(values, one, other):
    low, high = min(one, other), max(one, other)
    high = max(high, low + 1e-30, float(np.nextafter(low, np.inf)))
    assume(high - low >= 1e-30)
    shown = Window("w", low, high).to_uint8(values)
    numbers = ~np.isnan(values)
    assert (shown[~numbers] == 0).all()
    assert (np.diff(shown[numbers][values[numbers].argsort()].astype(int)) >= 0).all()
    assert (shown[values <= low] == 0).all()
    assert (shown[values >= high] == 255).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_short_floats_with_nan_and_infinity_are_safe(dtype):
    values = np.array([np.nan, -np.inf, np.inf, 1, 2], dtype)
    assert Window("w", 0, 2).to_uint8(values).tolist() == [0, 0, 255, 128, 255]


def test_rgb_passes_through_and_the_array_is_never_written():
    rgb = RNG.integers(0, 255, (4, 5, 3)).astype(np.uint8)
    assert Window("w", 10, 20).to_uint8(rgb) is rgb
    grey = RNG.integers(-1000, 1000, (4, 5)).astype(np.int16)
    before = grey.copy()
    PRESETS["lung"].to_uint8(grey)
    assert np.array_equal(grey, before)


@pytest.mark.parametrize(
    ("array", "preset"),
    [
        (tissue(soft=0.3, fat=0.15, bone=0.03), "abdomen"),
        (tissue(lung=0.3, soft=0.15, fat=0.05), "lung"),
        (tissue(lung=0.12, soft=0.3, fat=0.1), "mediastinum"),
        (tissue(brain=0.35, bone=0.08, fat=0.02), "brain"),
    ],
)
@pytest.mark.parametrize("modality", ["CT", ""])
def test_ct_gets_the_preset_of_its_tissues_also_unnamed(array, preset, modality):
    assert automatic_window(volume(array, modality)) == PRESETS[preset]


def test_scattered_values_below_air_are_no_ct():
    phase = RNG.integers(-4096, 4096, (30, 30, 30)).astype(np.int16)
    assert automatic_window(volume(phase)).name == "automatic"


@pytest.mark.parametrize("modality", ["MR", ""])
def test_other_images_get_the_percentiles_of_the_whole_volume(modality):
    array = RNG.gamma(2, 100, (60, 60, 60)).astype(np.float32)
    window = automatic_window(volume(array, modality))
    low, high = np.percentile(array, [0.5, 99.5])
    assert window.name == "automatic"
    assert window.low == pytest.approx(low, abs=3)
    assert window.high == pytest.approx(high, rel=0.02)


def test_the_choice_does_not_depend_on_chance_or_on_the_number_of_slices_looked_at():
    array = RNG.gamma(2, 100, (80, 90, 100)).astype(np.float32)
    first, second = automatic_window(volume(array)), automatic_window(volume(array.copy()))
    assert first == second


def test_an_image_that_is_almost_everywhere_the_same_uses_its_whole_range():
    array = np.zeros((20, 20, 20), np.int16)
    array[3, 4, 5] = 50
    window = automatic_window(volume(array))
    assert (window.low, window.high) == (0, 50)


def test_a_spot_that_the_sample_misses_still_counts():
    array = np.zeros((200, 200, 200), np.float32)
    array[1, 1, 1], array[2, 2, 2] = 50, np.nan
    window = automatic_window(volume(array))
    assert (window.low, window.high) == (0, 50)


@pytest.mark.parametrize("value", [0.0, -3.5, 1e-310, 1e300, -1.7e308, 1.7e308])
def test_a_constant_image_gets_a_window_around_its_value(value):
    window = automatic_window(volume(np.full((4, 4, 4), value)))
    assert window.low <= value <= window.high


def test_colour_is_shown_as_it_is():
    rgb = np.zeros((4, 5, 3), np.uint8)
    assert automatic_window(volume(rgb, ndim=2)) == Window("colour", 0, 255)


@pytest.mark.shared_data
def test_the_lungs_of_a_real_scan_are_recognised(shared_data):
    folder = shared_data / "train" / "totalseg_ct_mr_3d" / "images"
    assert automatic_window(open_volume(folder / "pulmonary_ct_cropped.nii.gz")).name == "lung"
    assert automatic_window(open_volume(folder / "aorta_ct_cropped.nii.gz")).name == "mediastinum"
