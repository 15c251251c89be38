"""Names that every system takes and that name no patient."""

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 64
"""Characters of a name at most: a file gets a suffix, and a folder a path before it."""

_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}


def safe_name(text: str, otherwise: str = "case") -> str:
    """Return a name of letters, digits, ``_`` and ``-`` only, which no system reserves.

    Parameters
    ----------
    text : str
        Anything; letters with accents lose them.
    otherwise : str
        Put in front where what is left could not stand alone.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:LONGEST].rstrip("_-")
    return f"{otherwise}_{name}".rstrip("_") if not name or name.upper() in _RESERVED else name


def distinct_names(names: Iterable[str], otherwise: str = "case") -> tuple[str, ...]:
    """Return a safe name for each, all different also where upper and lower case are one; empty ones are numbered."""
    found: list[str] = []
    taken: set[str] = set()
    for number, name in enumerate(names, start=1):
        wanted = safe_name(name, otherwise) if name else f"{otherwise}_{number:04d}"
        free = next(each for each in _variants(wanted) if each.lower() not in taken)
        taken.add(free.lower())
        found.append(free)
    return tuple(found)


def _variants(name: str) -> Iterable[str]:
    yield name
    number = 2
    while True:
        ending = f"_{number}"
        yield name[: LONGEST - len(ending)] + ending
        number += 1
