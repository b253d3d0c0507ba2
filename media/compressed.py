"""A recording as one compressed file: Opus in Ogg, with both sides apart. Any player plays it.

::

    8 kHz            left: agent   centre: caller   right: agent
    higher rates     left: caller                   right: agent

Its comment names the segments that it was made of, with their sizes, so that a segment is removed
only when its sound is known to be in the file.

Opus gives each side what it needs of a common budget. Below about 32 kbit/s it begins to mix left and right, and the
caller could be heard in the agent's side. So the higher rates have levels above that. At 8 kHz, where that is more than
a tenth of the recording, the caller has the centre, which is coded by itself, and left and right are the same. What was
measured: ``docs/performance.md``.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from media.errors import RecordingUnreadable
from media.formats import SAMPLE_RATES

if TYPE_CHECKING:  # it loads a library, which no call needs
    from soundfile import SoundFile

COMPRESSED_NAME = "recording.opus"
COMPRESSION_LEVELS = dict(zip(SAMPLE_RATES, (0.97, 0.93, 0.92, 0.88), strict=True))
"""By sample rate. libsndfile gives each channel 6 kbit/s and, times one minus the level, 250 more."""

_CENTRED_RATE = 8000
_CENTRED, _STEREO = ((1, 0, 1), (1, 0)), ((0, 1), (0, 1))
"""Which side each channel has, and which channel each side is read from. Files of older versions are all stereo."""
_CONTAINER, _CODEC = "OGG", "OPUS"


class CompressedFile:
    """An open file; a context manager. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, or RecordingUnreadable if it is damaged or something else."""
        with ExitStack() as files:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            files.callback(os.close, number)
            self.changed = os.fstat(number).st_mtime
            """When it was written, in seconds since the epoch."""
            self._sound = files.enter_context(_open(number, "r"))
            self.rate: int = self._sound.samplerate
            """Hertz."""
            self.samples: int = self._sound.frames
            """Of each side, from the answer on."""
            layouts = {len(sides): channels for sides, channels in (_CENTRED, _STEREO)}
            if self._sound.channels not in layouts or self.rate not in SAMPLE_RATES:
                raise RecordingUnreadable("the compressed recording is not one of a call")
            self._channels = list(layouts[self._sound.channels])
            self.contents = _contents(self._sound.comment)
            """The segments that it was made of, each with its size in bytes."""
            self._files = files.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def read(self, first: int, samples: int) -> npt.NDArray[np.int16]:
        """Up to so many samples from ``first`` on, fewer at the end. Raises RecordingUnreadable if it is damaged.

        Decodes only them. The same samples are the same in every read.
        """
        wanted = min(samples, self.samples - first)
        if self._sound.tell() != first:
            _done(lambda: self._sound.seek(first))
        sound: npt.NDArray[np.int16] = _done(lambda: self._sound.read(wanted, "int16", always_2d=True))
        if len(sound) < wanted:
            raise RecordingUnreadable("the compressed recording ends early")
        return sound[:, self._channels]


def write_compressed(
    path: Path, rate: int, blocks: Iterable[npt.NDArray[np.int16]], contents: Mapping[str, int]
) -> None:
    """Write such a file and sync it to the disk. Raises OSError, RecordingUnreadable."""
    with ExitStack() as files:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        files.callback(os.close, number)
        written = _WrittenFile(number)
        try:
            _encode(written, rate, blocks, json.dumps({"segments": dict(contents)}))
        except RecordingUnreadable:
            written.check()  # the disk is why
            raise
        written.check()
        os.fsync(number)


def _encode(written: "_WrittenFile", rate: int, blocks: Iterable[npt.NDArray[np.int16]], comment: str) -> None:
    level = COMPRESSION_LEVELS[rate]
    sides = list((_CENTRED if rate == _CENTRED_RATE else _STEREO)[0])
    kind = {"format": _CONTAINER, "subtype": _CODEC, "compression_level": level}
    with _open(written, "w", samplerate=rate, channels=len(sides), **kind) as sound:
        sound.comment = comment
        for block in blocks:
            _write(sound, block[:, sides])
            written.check()
        _done(sound.close)


class _WrittenFile:
    """A file as the library writes it. The library says nothing of what the disk refuses, so this remembers it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """All of it, or after the first error nothing."""
        left = memoryview(data)
        try:
            while left and self._error is None:
                left = left[os.write(self._number, left) :]
        except OSError as error:
            self._error = error
        return len(data) - len(left)

    def seek(self, offset: int, whence: int) -> int:
        """As of any file."""
        return os.lseek(self._number, offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return os.lseek(self._number, 0, os.SEEK_CUR)

    def check(self) -> None:
        """Raises OSError if the disk has refused anything."""
        if self._error is not None:
            raise self._error


def _write(sound: "SoundFile", block: npt.NDArray[np.int16]) -> None:
    _done(lambda: sound.write(block))


def _open(file: "int | _WrittenFile", mode: str, **options: Any) -> "SoundFile":
    """The caller of this closes the file itself."""
    from soundfile import SoundFile

    opened: SoundFile = _done(lambda: SoundFile(file, mode, closefd=False, **options))
    return opened


def _done(work: Callable[[], Any]) -> Any:
    """Do it, with the library's errors as ours."""
    from soundfile import LibsndfileError

    try:
        return work()
    except LibsndfileError as error:
        raise RecordingUnreadable(f"the compressed recording: {error.error_string}") from error


def _contents(comment: str) -> dict[str, int]:
    """Raises RecordingUnreadable."""
    try:
        return {str(name): int(size) for name, size in json.loads(comment)["segments"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordingUnreadable("the compressed recording does not say what it was made of") from error
