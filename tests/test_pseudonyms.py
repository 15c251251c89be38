import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from napari_medfm.errors import SettingsError
from napari_medfm.pseudonyms import Pseudonyms, load_pseudonyms
from napari_medfm.settings import load_settings

OURS, THEIRS = Pseudonyms(bytes(32)), Pseudonyms(bytes([1]) * 32)


@given(st.text(), st.text())
def test_one_patient_has_one_pseudonym_and_shares_it_with_nobody(name, other):
    assert OURS.patient(name) == OURS.patient(name)
    assert (OURS.patient(name) == OURS.patient(other)) == (name == other)
    assert OURS.patient(name) != THEIRS.patient(name), "another key, another pseudonym"


@given(st.text())
def test_uids_are_valid_in_dicom(uid):
    assert UID(OURS.uid(uid)).is_valid
    assert OURS.uid(uid) == OURS.uid(uid) != THEIRS.uid(uid)


def test_the_key_is_made_once_kept_and_for_its_owner_only():
    first = load_pseudonyms()
    path = load_settings().data_dir / "pseudonyms.key"
    assert load_pseudonyms().key == first.key == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.key.hex() not in repr(first)


def test_a_damaged_key_is_refused_and_kept(tmp_path):
    load_pseudonyms(tmp_path)
    (tmp_path / "pseudonyms.key").write_bytes(b"short")
    with pytest.raises(SettingsError, match="is damaged"):
        load_pseudonyms(tmp_path)
    assert (tmp_path / "pseudonyms.key").read_bytes() == b"short"
