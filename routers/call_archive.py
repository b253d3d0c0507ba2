"""Everything that is known of a call, as one zip that is made while it is sent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import RawIOBase
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from media.whole_recording import WholeRecording


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the archive."""

    name: str
    content: bytes


def json_part(name: str, value: object) -> Part:
    """A value as JSON that people can read."""
    return Part(name, json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n")


class _Outlet(RawIOBase):
    """Keeps what is written until it is taken. It cannot seek, so the zip's sizes follow the files."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # or a view of some
        before = len(self._written)
        self._written += data
        return len(self._written) - before

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def archive(folder: str, at: datetime, parts: list[Part], recording: WholeRecording | None) -> Iterator[bytes]:
    """The zip piece by piece, with all files in ``folder``; the recording is read as it is sent. Blocks."""
    outlet = _Outlet()
    with ZipFile(outlet, "w") as made:
        for part in parts:
            made.writestr(_entry(f"{folder}/{part.name}", at, ZIP_DEFLATED), part.content)
            yield outlet.take()
        if recording is not None:
            with made.open(_entry(f"{folder}/recording.wav", at, ZIP_STORED), "w", force_zip64=True) as file:
                for piece in recording.read(0, recording.size):
                    file.write(piece)
                    yield outlet.take()
    yield outlet.take()


def _entry(name: str, at: datetime, compression: int) -> ZipInfo:
    entry = ZipInfo(name, at.timetuple()[:6])
    entry.compress_type = compression
    entry.external_attr = 0o600 << 16  # for its owner alone: callers' words are in it
    return entry
