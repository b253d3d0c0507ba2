"""The archive of standard lines: one zip file a language, one member a line, 8000 Hz μ-law.

``bench/make_phrases.py`` writes the archives anew when a line changes; a test compares them with the lines.
"""

import hashlib
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
LANGUAGES = frozenset(path.stem for path in _FOLDER.glob("*.zip"))
"""Codes of the languages that there are lines in."""


def member(text: str) -> str:
    """The name of a line's member."""
    return hashlib.sha256(text.encode()).hexdigest()[:16] + ".ulaw"


@cache
def sound(language: str, text: str) -> bytes | None:
    """The line as 8000 Hz μ-law; None when the package does not bring it. Reads a file."""
    if language not in LANGUAGES:
        return None
    with zipfile.ZipFile(_FOLDER / f"{language}.zip") as archive:
        try:
            return archive.read(member(text))
        except KeyError:
            return None


def members(language: str) -> frozenset[str]:
    """The names of what the archive of a language holds."""
    with zipfile.ZipFile(_FOLDER / f"{language}.zip") as archive:
        return frozenset(archive.namelist())


def write(language: str, lines: Mapping[str, bytes]) -> Path:
    """Write the archive of a language: the same lines give the same file. Returns its path."""
    path = _FOLDER / f"{language}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, audio in sorted((member(text), audio) for text, audio in lines.items()):
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, audio)
    return path
