"""A written file is the old one or the new one, whatever happens on the way."""

import errno
import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from napari_medfm import files
from napari_medfm.errors import WriteError
from napari_medfm.files import atomic_write, atomic_write_bytes, flush_folder, private_folder, sha256_file

OLD, NEW = b"the only copy", b"what replaces it"


@pytest.fixture
def target(tmp_path):
    """A file in a folder of its own, so that anything left beside it is seen."""
    path = tmp_path / "labels.nii.gz"
    path.write_bytes(OLD)
    return path


def assert_untouched(path):
    assert path.read_bytes() == OLD
    assert list(path.parent.iterdir()) == [path]


def failing(number):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def test_it_replaces_the_file_and_leaves_nothing_beside_it(target):
    assert atomic_write_bytes(target, NEW) == target
    assert target.read_bytes() == NEW
    assert list(target.parent.iterdir()) == [target]


def test_it_creates_a_file_that_was_not_there(tmp_path):
    atomic_write_bytes(tmp_path / "new.json", NEW)
    assert (tmp_path / "new.json").read_bytes() == NEW


def test_the_writer_sees_the_same_suffixes_in_the_same_folder(target):
    seen = []
    atomic_write(target, lambda path: seen.append(path) or path.write_bytes(NEW))
    assert seen[0].name.endswith(".nii.gz")
    assert seen[0] != target
    assert seen[0].parent == target.parent


def test_the_old_file_stands_until_the_new_one_is_verified(target):
    seen = []
    atomic_write(
        target,
        lambda path: path.write_bytes(NEW),
        lambda path: seen.append((path.read_bytes(), target.read_bytes())),
    )
    assert seen == [(NEW, OLD)]


def test_what_does_not_verify_never_replaces_anything(target):
    def refuse(path):
        raise WriteError(target.name, "read back different", "Try another disk.")

    with pytest.raises(WriteError, match="read back different"):
        atomic_write(target, lambda path: path.write_bytes(NEW), refuse)
    assert_untouched(target)


def test_a_disk_that_returns_other_bytes_is_noticed(target, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"rotten")
    with pytest.raises(WriteError, match=r"labels\.nii\.gz: read back different from what was written"):
        atomic_write_bytes(target, NEW)
    monkeypatch.undo()
    assert_untouched(target)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS])
@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (Path, "touch"),
        (Path, "write_bytes"),
        (os, "fsync"),
        (Path, "read_bytes"),
        (files.shutil, "copymode"),
        (os, "replace"),
    ],
    ids=["create", "write", "flush", "verify", "permissions", "rename"],
)
def test_a_failure_at_any_step_leaves_the_old_file_and_nothing_else(target, monkeypatch, owner, step, number):
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, failing(number))
        with pytest.raises(WriteError) as caught:
            atomic_write_bytes(target, NEW)
    assert_untouched(target)
    assert str(caught.value) == (
        f"labels.nii.gz: could not be written ({os.strerror(number)}). "
        "Check free space and permissions, or choose another folder."
    )


@pytest.mark.parametrize("room", range(len(NEW)))
def test_a_disk_that_is_full_after_any_byte_leaves_the_old_file(target, room):
    """The kernel refuses to let a file grow beyond `room` bytes, after writing what still fits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(WriteError):
            atomic_write_bytes(target, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_untouched(target)


def test_a_writer_that_fails_in_its_own_way_is_heard_and_leaves_the_old_file(target):
    def write(path):
        path.write_bytes(NEW[:4])
        raise ValueError("not a label map")

    with pytest.raises(ValueError, match="not a label map"):
        atomic_write(target, write)
    assert_untouched(target)


def test_a_folder_that_does_not_exist_is_named_by_the_files_name_only(tmp_path):
    with pytest.raises(WriteError) as caught:
        atomic_write_bytes(tmp_path / "DOE^JANE" / "labels.nii", NEW)
    assert "labels.nii: could not be written (No such file or directory)" in str(caught.value)
    assert "DOE" not in str(caught.value)


@pytest.mark.parametrize("step", ["write", "verify"])
def test_kill_9_in_the_middle_leaves_the_old_file(target, step):
    code = f"""
import os, signal, sys
from pathlib import Path
from napari_medfm.files import atomic_write

def kill(path):
    path.write_bytes({NEW[:5]!r})
    os.kill(os.getpid(), signal.SIGKILL)

steps = {{"write": lambda path: path.write_bytes({NEW!r}), "verify": None, {step!r}: kill}}
atomic_write(Path(sys.argv[1]), **steps)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(target)], timeout=60, check=False)
    assert killed.returncode == -9
    assert target.read_bytes() == OLD


def test_content_and_name_are_both_flushed_in_that_order(target, monkeypatch):
    order = []
    replace, fsync = os.replace, os.fsync

    def record_fsync(descriptor):
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", lambda *names: order.append("rename") or replace(*names))
    atomic_write_bytes(target, NEW)
    assert order == ["file", "rename", "folder"]


def test_a_file_that_is_replaced_keeps_its_permissions(target):
    target.chmod(0o640)
    atomic_write_bytes(target, NEW)
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_permissions_the_person_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_write_bytes(tmp_path / "new.json", NEW)
    finally:
        os.umask(before)
    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("number", "heard"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_flushed_is_no_failure_where_the_system_does_not_offer_it(
    tmp_path, monkeypatch, number, heard
):
    monkeypatch.setattr(os, "fsync", failing(number))
    if heard:
        with pytest.raises(OSError, match=os.strerror(number)):
            flush_folder(tmp_path)
    else:
        assert flush_folder(tmp_path) is None


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_a_digest_covers_every_block(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "weights").write_bytes(content)
    assert sha256_file(tmp_path / "weights") == hashlib.sha256(content).hexdigest()


def test_a_private_folder_is_its_owners_alone_even_if_it_was_open_before(tmp_path):
    (tmp_path / "cache").mkdir(mode=0o755)
    for folder in (tmp_path / "cache", tmp_path / "new" / "cache"):
        assert private_folder(folder).stat().st_mode & 0o777 == 0o700
