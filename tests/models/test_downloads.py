"""Downloads of weights: from a server on this machine that breaks off, lies, or has moved."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from suites.web import serve

from napari_medfm.errors import WeightsError
from napari_medfm.models.downloads import fetch_weights, verify_weights

CONTENT = np.random.default_rng(0).integers(0, 256, 5_000_000, dtype=np.uint8).tobytes()


@pytest.fixture
def server():
    with serve(CONTENT) as server:
        yield server


@pytest.fixture
def file(server):
    return server.file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_downloaded_once_and_checked(file, server, tmp_path):
    seen = []
    assert file.find(tmp_path / "new") is None
    path = fetch_weights(file, tmp_path / "new", report=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["weights.pth"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert fetch_weights(file, tmp_path / "new") == path == file.find(tmp_path / "new")
    assert verify_weights(file, tmp_path / "new") == path
    assert len(server.asked) == 1


@pytest.mark.parametrize("algorithm", ["md5", "xxh128", "sha256"])
def test_the_publishers_own_kind_of_digest_will_do(algorithm, file, tmp_path):
    import xxhash

    makers = {"md5": hashlib.md5, "sha256": hashlib.sha256, "xxh128": xxhash.xxh128}
    given = replace(file, digest=f"{algorithm}:{makers[algorithm](CONTENT).hexdigest()}")
    assert fetch_weights(given, tmp_path).read_bytes() == CONTENT


def test_a_download_that_broke_off_goes_on_where_it_stopped(file, server, tmp_path):
    server.breaks_after = 3_000_000
    with pytest.raises(WeightsError, match=r"could not be downloaded from 127\.0\.0\.1") as caught:
        fetch_weights(file, tmp_path)
    assert "goes on where it stopped" in caught.value.next_step
    assert names(tmp_path) == ["weights.pth.part"]
    there = (tmp_path / "weights.pth.part").stat().st_size
    assert 0 < there <= 3_000_000
    assert fetch_weights(file, tmp_path).read_bytes() == CONTENT
    assert [first for _, first in server.asked] == [0, there]
    assert names(tmp_path) == ["weights.pth"]


def test_a_person_can_stop_it_and_go_on(file, server, tmp_path):
    def stop(done, total):
        if done > 1_500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_weights(file, tmp_path, report=stop)
    assert names(tmp_path) == ["weights.pth.part"]
    assert fetch_weights(file, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1][1] > 1_000_000


def test_a_server_that_knows_no_ranges_begins_anew(file, server, tmp_path):
    (tmp_path / "weights.pth.part").write_bytes(CONTENT[:1000])
    server.knows_ranges = False
    assert fetch_weights(file, tmp_path).read_bytes() == CONTENT


def test_another_file_than_the_publishers_is_thrown_away_and_what_was_there_stays(file, server, tmp_path):
    server.content = bytes(len(CONTENT))
    with pytest.raises(WeightsError, match="its digest differs"):
        fetch_weights(file, tmp_path)
    assert names(tmp_path) == []
    (tmp_path / "weights.pth").write_bytes(b"older")
    with pytest.raises(WeightsError):
        fetch_weights(file, tmp_path)
    assert (tmp_path / "weights.pth").read_bytes() == b"older"
    server.content = CONTENT
    assert fetch_weights(file, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("rest", [CONTENT + b"more", CONTENT])
def test_a_rest_that_is_too_long_or_whole_stops_nothing(rest, file, server, tmp_path):
    (tmp_path / "weights.pth.part").write_bytes(rest)
    assert fetch_weights(file, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == (1 if len(rest) > len(CONTENT) else 0)


def test_a_mirror_is_asked_instead_of_the_publisher(file, server, tmp_path):
    elsewhere = replace(file, url="https://publisher.invalid/weights.pth")
    assert fetch_weights(elsewhere, tmp_path, mirror=server.address + "/").read_bytes() == CONTENT
    assert server.asked[0][0] == "/weights.pth"


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({}, {"offline": True}, "nothing is downloaded offline"),
        ({"url": ""}, {}, "no address and digest"),
        ({"digest": ""}, {}, "no address and digest"),
        ({"url": "http://example.org/weights.pth"}, {}, "encrypted connection"),
        ({"url": "ftp://example.org/weights.pth"}, {}, "encrypted connection"),
        ({"size": 10**18}, {}, "are free"),
    ],
)
def test_what_cannot_be_had_is_said_and_nobody_is_asked(change, options, told, file, server, tmp_path):
    with pytest.raises(WeightsError, match=told) as caught:
        fetch_weights(replace(file, **change), tmp_path, **options)
    assert caught.value.next_step
    assert server.asked == []


def test_a_file_that_has_moved_is_said(file, server, tmp_path):
    with pytest.raises(WeightsError, match="could not be downloaded"):
        fetch_weights(replace(file, url=f"{server.address}/gone.pth"), tmp_path)


def test_damage_on_the_disk_is_found(file, tmp_path):
    path = fetch_weights(file, tmp_path)
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    with pytest.raises(WeightsError, match="is damaged"):
        verify_weights(file, tmp_path)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="is not there"):
        verify_weights(file, tmp_path)
