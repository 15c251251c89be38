from importlib.util import find_spec

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from napari_medfm.errors import (
    ChoiceRequiredError,
    GeometryError,
    TooLargeError,
    UnreadableFileError,
    UnsupportedDataError,
    WriteError,
)
from napari_medfm.volume import edge_letters, open_labels, open_volume, write_labels, write_volume

from .nifti_files import numbered

GREY = numbered((20, 30), np.uint8)
DEEP = numbered((20, 30), np.uint16) * 100
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def says(volume, words):
    return any(words in note for note in volume.geometry.notes)


def saved(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("array", [GREY, DEEP, COLOUR], ids=["grey", "16 bit", "colour"])
def test_pictures_are_read_exactly(tmp_path, suffix, array):
    volume = open_volume(saved(tmp_path / f"photo{suffix}", array))
    assert volume.array.dtype == array.dtype
    assert np.array_equal(volume.array, array)
    assert volume.ndim == 2
    assert volume.is_rgb == (array.ndim == 3)
    assert volume.name == "photo"
    assert volume.array.flags.c_contiguous


def test_a_picture_has_no_known_place_or_size(tmp_path):
    volume = open_volume(saved(tmp_path / "photo.png", GREY))
    assert not volume.geometry.known
    assert volume.spacing == (1, 1)
    assert says(volume, "1 mm is assumed")
    assert edge_letters(volume.geometry) == ("R", "L", "A", "P")


def test_a_jpeg_is_grey_or_colour(tmp_path):
    smooth = np.linspace(0, 255, 600).reshape(20, 30).astype(np.uint8)
    grey = open_volume(saved(tmp_path / "grey.jpg", smooth, quality=95))
    assert np.abs(grey.array.astype(int) - smooth).max() < 8
    colour = open_volume(saved(tmp_path / "colour.jpeg", np.stack([smooth, smooth // 2, 255 - smooth], -1)))
    assert colour.is_rgb


def test_colour_of_equal_channels_becomes_grey(tmp_path):
    volume = open_volume(saved(tmp_path / "photo.png", np.stack([GREY] * 3, axis=-1)))
    assert np.array_equal(volume.array, GREY)
    assert says(volume, "read as grey")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_transparency_is_left_out_and_told(tmp_path, mode, suffix):
    picture = Image.fromarray(COLOUR).convert(mode)
    picture.putalpha(77)
    picture.save(tmp_path / f"photo{suffix}")
    volume = open_volume(tmp_path / f"photo{suffix}")
    assert says(volume, "transparency was left out")
    assert np.array_equal(volume.array, np.asarray(picture)[..., : 3 if mode == "RGBA" else 1].squeeze())


@pytest.mark.parametrize("mode", ["P", "1", "CMYK"])
def test_other_colour_models_are_converted(tmp_path, mode):
    picture = Image.fromarray(COLOUR).convert(mode)
    path = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    picture.save(path)
    volume = open_volume(path)
    with Image.open(path) as stored:
        expected = np.asarray(stored.convert("L" if mode == "1" else "RGB"))
    assert np.array_equal(volume.array, expected)
    assert says(volume, "converted to RGB") == (mode == "CMYK")


def test_sixteen_bit_colour_is_reduced_and_told(tmp_path):
    deep = COLOUR.astype(np.uint16) * 256
    tifffile.imwrite(tmp_path / "photo.tif", deep, photometric="rgb")
    volume = open_volume(tmp_path / "photo.tif")
    assert np.array_equal(volume.array, COLOUR)
    assert says(volume, "shown with 8 bits")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_tiff_values_of_every_type_are_kept(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "photo.tif", GREY.astype(dtype), byteorder=">")
    volume = open_volume(tmp_path / "photo.tif")
    assert volume.array.dtype == dtype
    assert np.array_equal(volume.array, GREY)


REVERSED = np.tile(np.arange(256, dtype=np.uint16)[::-1] * 257, (3, 1))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"photometric": "miniswhite"}, 255 - GREY),
        (
            {"photometric": "palette", "colormap": REVERSED},
            255 - GREY,
        ),
        ({"photometric": "minisblack", "compression": "zlib"}, GREY),
    ],
)
def test_tiff_photometry_is_honoured(tmp_path, options, expected):
    tifffile.imwrite(tmp_path / "photo.tif", GREY, **options)
    assert np.array_equal(open_volume(tmp_path / "photo.tif").array, expected)


def test_planar_colour_tiff_is_colour(tmp_path):
    tifffile.imwrite(tmp_path / "photo.tif", np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(open_volume(tmp_path / "photo.tif").array, COLOUR)


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"ome": True}], ids=["plain", "imagej", "ome"])
def test_a_tiff_of_several_pages_asks_which(tmp_path, options):
    pages = np.stack([DEEP, DEEP + 1, DEEP + 2])
    path = tmp_path / ("photo.ome.tif" if "ome" in options else "photo.tif")
    tifffile.imwrite(path, pages, photometric="minisblack", **options)
    with pytest.raises(ChoiceRequiredError) as caught:
        open_volume(path)
    assert caught.value.choices == ("page 1 of 3", "page 2 of 3", "page 3 of 3")
    assert np.array_equal(open_volume(path, choice=2).array, pages[2])


def test_pages_of_different_sizes_are_pages_too(tmp_path):
    with tifffile.TiffWriter(tmp_path / "photo.tif") as writer:
        writer.write(GREY, metadata=None)
        writer.write(DEEP[:5], metadata=None)
    assert np.array_equal(open_volume(tmp_path / "photo.tif", choice=1).array, DEEP[:5])


def test_a_moving_picture_asks_which(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "photo.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ChoiceRequiredError, match="holds 2 pages"):
        open_volume(tmp_path / "photo.png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_orientation_is_applied_and_undone_for_labels(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"photo{suffix}", GREY, exif=exif)
    volume = open_volume(path)
    with Image.open(saved(tmp_path / "upright.png", GREY, exif=exif)) as picture:
        assert np.array_equal(volume.array, np.asarray(ImageOps.exif_transpose(picture)))
    assert says(volume, "turned as its EXIF orientation says") == (orientation > 1)
    out = write_labels(tmp_path / "labels.png", volume.array, volume.geometry)
    assert np.array_equal(pixels(out), GREY), "labels lie in the stored order"
    assert np.array_equal(open_labels(out, volume), volume.array)
    nifti = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    assert np.array_equal(open_labels(nifti, volume), volume.array)


@pytest.mark.parametrize(
    ("largest", "suffix", "dtype"), [(200, ".png", np.uint8), (60000, ".png", np.uint16), (70000, ".tif", np.uint32)]
)
def test_labels_of_pictures_are_written_as_pictures(tmp_path, largest, suffix, dtype):
    volume = open_volume(saved(tmp_path / "photo.png", COLOUR))
    labels = np.zeros(volume.shape, np.uint32)
    labels[3, 4] = largest
    out = write_labels(tmp_path / f"labels{suffix}", labels, volume.geometry)
    assert np.array_equal(open_labels(out, volume), labels)
    stored = pixels(out) if suffix == ".png" else tifffile.imread(out)
    assert stored.dtype == dtype
    assert np.array_equal(stored, labels)


def test_labels_too_many_for_png_are_refused(tmp_path):
    volume = open_volume(saved(tmp_path / "photo.png", GREY))
    with pytest.raises(WriteError, match=r"cannot hold this image.*\.nii\.gz"):
        write_labels(tmp_path / "labels.png", np.full(volume.shape, 70000), volume.geometry)


def test_labels_are_never_written_or_read_as_jpeg(tmp_path):
    volume = open_volume(saved(tmp_path / "photo.png", GREY))
    with pytest.raises(WriteError, match="changed by JPEG"):
        write_labels(tmp_path / "labels.jpg", np.ones(volume.shape, np.uint8), volume.geometry)
    with pytest.raises(UnsupportedDataError, match="is JPEG, which changes label values"):
        open_labels(saved(tmp_path / "mask.jpg", GREY), volume)


def test_the_picture_itself_is_never_overwritten(tmp_path):
    path = saved(tmp_path / "photo.png", GREY)
    volume = open_volume(path)
    with pytest.raises(WriteError, match="is the image itself"):
        write_labels(path, np.ones(volume.shape, np.uint8), volume.geometry)


def test_palette_masks_give_their_indices(tmp_path):
    volume = open_volume(saved(tmp_path / "photo.png", GREY))
    mask = Image.fromarray(GREY % 3).convert("P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    mask.save(tmp_path / "mask.png")
    assert np.array_equal(open_labels(tmp_path / "mask.png", volume), GREY % 3)


def test_bilevel_masks_give_zero_and_one(tmp_path):
    volume = open_volume(saved(tmp_path / "photo.png", GREY))
    labels = open_labels(saved(tmp_path / "mask.png", GREY > 100), volume)
    assert np.array_equal(labels, GREY > 100)


def test_masks_in_colour_or_of_another_size_are_refused(tmp_path):
    volume = open_volume(saved(tmp_path / "photo.png", GREY))
    with pytest.raises(UnsupportedDataError, match="shows labels as colours"):
        open_labels(saved(tmp_path / "mask.png", COLOUR), volume)
    with pytest.raises(GeometryError, match="is 30 x 19 pixels, the image 30 x 20"):
        open_labels(saved(tmp_path / "mask.tif", GREY[:-1]), volume)


@pytest.mark.parametrize("array", [GREY, DEEP, COLOUR])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".nii.gz"])
def test_pictures_are_written_and_read_back(tmp_path, array, suffix):
    if array is DEEP and suffix == ".nii.gz":
        array = DEEP.astype(np.float32)
    source = open_volume(saved(tmp_path / "photo.tif", array))
    back = open_volume(write_volume(tmp_path / f"copy{suffix}", source))
    assert np.array_equal(back.array, array)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_damaged_pictures_are_refused(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    content = saved(path, np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)).read_bytes()
    for end in np.linspace(0, len(content) - (1 if suffix == ".tif" else 20), 40).astype(int):
        path.write_bytes(content[:end])
        with pytest.raises(UnreadableFileError) as caught:
            open_volume(path)
        assert caught.value.subject == path.name
        assert str(tmp_path) not in str(caught.value)


def test_a_flipped_bit_of_a_png_never_gives_other_pixels(tmp_path):
    rng = np.random.default_rng(0)
    path = saved(tmp_path / "photo.png", rng.integers(0, 255, (16, 16)).astype(np.uint8))
    content = path.read_bytes()
    clean = open_volume(path).array
    refusals = 0
    for position in rng.integers(0, len(content) * 8, 200):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        try:
            volume = open_volume(path)
        except (UnreadableFileError, TooLargeError):
            refusals += 1
            continue
        assert np.array_equal(volume.array, clean)
    assert refusals >= 190


def test_text_named_as_a_picture_is_refused(tmp_path):
    for suffix in (".png", ".jpg", ".tif"):
        path = tmp_path / f"photo{suffix}"
        path.write_text("<html>404</html>" * 20)
        with pytest.raises(UnreadableFileError):
            open_volume(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_more_pixels_than_memory_are_refused_before_decoding(tmp_path, suffix):
    path = saved(tmp_path / f"photo{suffix}", GREY)
    with pytest.raises(TooLargeError, match="needs"):
        open_volume(path, limit=100)


def test_a_decompression_bomb_is_refused(tmp_path):
    Image.new("1", (12000, 12000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 50_000
    with pytest.raises(TooLargeError, match="more pixels than a picture may have"):
        open_volume(tmp_path / "bomb.png")


def test_tiff_compression_without_its_package_names_it(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "photo.tif", compression="tiff_lzw")
    if find_spec("imagecodecs") is not None:
        assert np.array_equal(open_volume(tmp_path / "photo.tif").array, GREY)
        return
    with pytest.raises(UnsupportedDataError, match="pip install imagecodecs"):
        open_volume(tmp_path / "photo.tif")


def test_channels_that_are_no_colours_are_refused(tmp_path):
    five = numbered((20, 30, 5), np.uint8)
    tifffile.imwrite(tmp_path / "photo.tif", five, photometric="minisblack", planarconfig="contig")
    with pytest.raises(UnsupportedDataError, match="5 channels that are not RGB"):
        open_volume(tmp_path / "photo.tif")


def test_complex_pixels_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "photo.tif", GREY.astype(np.complex64))
    with pytest.raises(UnsupportedDataError, match="complex"):
        open_volume(tmp_path / "photo.tif")


@pytest.mark.shared_data
@pytest.mark.parametrize("folder", ["hc18_fetal_head_us", "isic2017_skin_dermoscopy", "dsb2018_nuclei", "liver_us"])
def test_real_pictures_open_with_their_masks(shared_data, folder):
    images = sorted((shared_data / "train" / folder / "images").iterdir())[:3]
    for image in images:
        volume = open_volume(image)
        mask = next((shared_data / "train" / folder / "masks").glob(f"{image.stem}.*"))
        assert open_labels(mask, volume).max() > 0
