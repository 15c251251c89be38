"""Names that stand for patients and images outside of this computer.

They are made from the true ones with a secret key that never leaves the data folder: the same patient gets the
same pseudonym every time, and nobody without the key can guess from a pseudonym whose it is, not even by trying names.
"""

import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from napari_medfm.errors import SettingsError
from napari_medfm.files import atomic_write_bytes, private_folder
from napari_medfm.settings import load_settings

_KEY_FILE = "pseudonyms.key"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """A secret key, and the names that it makes.

    Attributes
    ----------
    key : bytes
        32 random bytes.
    """

    key: bytes = field(repr=False)

    def patient(self, identity: str) -> str:
        """Return what a patient is called: ``P`` and 16 hexadecimal digits.

        Parameters
        ----------
        identity : str
            Whatever is equal for one person and differs between persons, such as a PatientID.
        """
        return f"P{self._digest('patient', identity)[:8].hex()}"

    def uid(self, uid: str) -> str:
        """Return the DICOM UID that stands for another: equal ones stay equal, references stay intact."""
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', uid)[:16], version=4).int}"

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.new(self.key, f"{purpose}\n{text}".encode(), hashlib.sha256).digest()


def load_pseudonyms(folder: Path | None = None) -> Pseudonyms:
    """Return this person's pseudonyms; their key is made the first time and kept.

    Parameters
    ----------
    folder : Path, optional
        Where the key is; the data folder if not given.

    Raises
    ------
    SettingsError
        The key is damaged. A new one is never made in its place: patients would change their names.
    """
    folder = private_folder(folder if folder is not None else load_settings().data_dir)
    path = folder / _KEY_FILE
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            atomic_write_bytes(path, secrets.token_bytes(_KEY_BYTES))
            path.chmod(0o600)
        key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        step = "Restore it from a copy. Without it, patients get other pseudonyms than before."
        raise SettingsError(path.name, "is damaged: it does not hold 32 bytes", step)
    return Pseudonyms(key)
