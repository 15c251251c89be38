import gzip

import numpy as np
import pytest

from napari_medfm.errors import UnreadableFileError
from napari_medfm.volume.payload import check_length, first_bytes, in_brief, is_gzip, read_payload

CONTENT = np.random.default_rng(0).integers(0, 50, 3_000_000).astype(np.uint8).tobytes()


@pytest.fixture(params=["plain", "gzip", "two members", "padded with zeros"])
def file(request, tmp_path):
    path = tmp_path / "scan"
    whole = gzip.compress(CONTENT, 1)
    kinds = {
        "plain": CONTENT,
        "gzip": whole,
        "two members": gzip.compress(CONTENT[:1000], 1) + gzip.compress(CONTENT[1000:], 1),
        "padded with zeros": whole + bytes(600_000),
    }
    path.write_bytes(kinds[request.param])
    return path


@pytest.mark.parametrize(("start", "count"), [(0, 10), (352, 2_999_648), (1_500_000, 1000), (999, 2)])
def test_any_range_is_read_exactly(file, start, count):
    payload = read_payload(file, start, count, len(CONTENT))
    assert payload.tobytes() == CONTENT[start : start + count]
    assert payload.flags.writeable


def test_the_first_bytes_are_those_of_the_content(file):
    assert first_bytes(file, 540) == CONTENT[:540]
    assert is_gzip(file) == (file.stat().st_size != len(CONTENT))


def test_more_than_there_is_is_refused(file):
    with pytest.raises(UnreadableFileError, match="cut short"):
        read_payload(file, 352, len(CONTENT), len(CONTENT) + 352)


def test_a_small_file_cannot_hold_a_large_image(tmp_path):
    path = tmp_path / "scan"
    path.write_bytes(gzip.compress(bytes(1000)))
    check_length(path, 1000)
    with pytest.raises(UnreadableFileError, match="cut short: 10000000 bytes are declared"):
        check_length(path, 10_000_000)


def test_damage_in_the_second_member_is_found(tmp_path):
    path = tmp_path / "scan"
    path.write_bytes(gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:])[:-3])
    with pytest.raises(UnreadableFileError, match="cut short"):
        read_payload(path, 0, 500, 1000)


def test_something_else_after_the_stream_is_found(tmp_path):
    path = tmp_path / "scan"
    path.write_bytes(gzip.compress(CONTENT) + b"something else")
    with pytest.raises(UnreadableFileError, match="is damaged"):
        read_payload(path, 0, 500, len(CONTENT))


def test_errors_of_the_system_are_told_without_their_path():
    assert in_brief(OSError(13, "Permission denied", "/home/smith^john/scan")) == "Permission denied"
    assert in_brief(ValueError("first line\nsecond line")) == "first line"
    assert in_brief(EOFError()) == "EOFError"
