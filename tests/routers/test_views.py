"""Recordings that are put together for a reader."""

import resource
from pathlib import Path

import pytest

from app.errors import StorageError
from media.formats import AudioFormat
from media.recording import Recorder
from routers.views import write_recording


def test_a_recording_that_the_disk_has_no_room_for_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", AudioFormat("pcm_s16le", 8000))
    recorder.caller(b"\1\0" * 8000, 0.0)
    recorder.close()
    segments = sorted(tmp_path.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="the recording cannot be put together: File too large"):
            write_recording(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(tmp_path.iterdir()) == segments

    assert write_recording(tmp_path).stat().st_size == 44 + 4 * 8000
