"""A disk that is full, away or read-only for a while: the recording goes on, and says which seconds it lacks."""

import io
import resource
import shutil
import signal
import wave
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from media.formats import AudioFormat
from media.recording import Recorder
from media.recording_report import RecordingReport, recording_report
from media.whole_recording import WholeRecording

RATE = 8000
PCM = AudioFormat("pcm_s16le", RATE)
FRAME = RATE // 50


def says(recorder: Recorder, start: float, end: float) -> None:
    """The caller, 20 ms at a time; each sample is the second that it is from, counted from 1."""
    for frame in range(round(start * 50), round(end * 50)):
        second = frame // 50 + 1
        recorder.caller(np.full(FRAME, second, "<i2").tobytes(), frame / 50)


def heard(directory: Path) -> npt.NDArray[np.int16]:
    """The caller's side."""
    with closing(WholeRecording(directory)) as whole:
        content = b"".join(whole.read(0, whole.size))
    with wave.open(io.BytesIO(content)) as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)[:, 0]


def seconds_heard(directory: Path) -> list[int]:
    """The whole seconds of the call that are there, each in its place."""
    caller = heard(directory)
    whole = [caller[RATE * number : RATE * (number + 1)] for number in range(len(caller) // RATE)]
    return [number for number, second in enumerate(whole) if (second == number + 1).all()]


def finish(recorder: Recorder, ended: float | None = None) -> None:
    recorder.close(ended)
    assert recorder.join(60)


@contextmanager
def full_disk(bytes_a_file: int) -> Iterator[None]:
    """No file of this process may grow beyond that."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


@contextmanager
def taken_place(directory: Path) -> Iterator[None]:
    """A file lies where the folder would have to be."""
    directory.touch()
    yield
    directory.unlink()


def until_tried(recorder: Recorder) -> None:
    while recorder.trouble is None:
        pass


def test_a_disk_that_was_full_for_a_while_loses_nothing(tmp_path: Path) -> None:
    call = tmp_path / "recordings" / "call"
    recorder = Recorder(call, "one", PCM)
    says(recorder, 0, 2)
    recorder.wait_written()
    with full_disk(20_001):  # in the middle of a sample
        says(recorder, 2, 7)
        until_tried(recorder)
        assert recorder.trouble == "File too large"
    says(recorder, 7, 9)
    finish(recorder)

    assert seconds_heard(call) == list(range(9))
    assert recorder.failed is None
    assert recorder.trouble is None
    assert recording_report(call, 9.0) == RecordingReport("complete", has_sound=True)


@pytest.mark.parametrize("is_full", [True, False])
def test_what_no_longer_fits_is_a_gap_with_its_seconds_and_the_recording_goes_on(tmp_path: Path, is_full: bool) -> None:
    call = tmp_path / "call"
    recorder = Recorder(call, "one", PCM)
    with full_disk(20_001) if is_full else taken_place(call):
        says(recorder, 0, 2)
        until_tried(recorder)
        says(recorder, 2, 40)
    recorder.wait_written()
    says(recorder, 40, 45)
    finish(recorder)

    ((start, end),) = recorder.gaps
    assert 19 <= start < 23  # one side alone, so the ten seconds of two
    assert 39.75 < end <= 40
    assert seconds_heard(call) == [*range(int(start)), *range(40, 45)]
    assert recorder.failed in ("File too large", "File exists")
    assert recording_report(call, 45.0) == RecordingReport("gaps", ((start, end),), has_sound=True)


def test_the_wait_before_each_new_try_is_asked_for_by_the_number_of_failures_in_a_row(tmp_path: Path) -> None:
    call, failures = tmp_path / "call", list[int]()

    def delay(failed: int) -> float:
        failures.append(failed)
        if failed == 3:
            call.unlink()
        return 0.0

    call.touch()  # a file lies where the folder would have to be
    recorder = Recorder(call, "one", PCM, retry_delay=delay)
    says(recorder, 0, 2)
    finish(recorder)

    assert failures == [1, 2, 3]
    assert seconds_heard(call) == [0, 1]


def test_a_folder_that_disappears_costs_what_was_in_it_and_no_more(tmp_path: Path) -> None:
    call = tmp_path / "data" / "recordings" / "call"
    call.parent.mkdir(parents=True)
    recorder = Recorder(call, "one", PCM)
    says(recorder, 0, 3)
    recorder.wait_written()
    shutil.rmtree(tmp_path / "data")
    says(recorder, 3, 5)
    until_tried(recorder)
    assert recorder.trouble == "No such file or directory"
    assert not (tmp_path / "data").exists()  # a disk may come back there
    (tmp_path / "data").mkdir()
    says(recorder, 5, 7)
    finish(recorder)

    assert seconds_heard(call) == [3, 4, 5, 6]
    report = recording_report(call, 7.0)
    assert (report.status, report.gaps) == ("gaps", ((0.0, pytest.approx(3.0, abs=0.25)),))


def test_a_disk_that_stays_full_is_given_up_and_what_was_written_is_heard(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", "one", PCM)
    says(recorder, 0, 2)
    recorder.wait_written()
    with full_disk(40_001):
        says(recorder, 2, 4)
        recorder.close()
        recorder.give_up(0.0)
        assert recorder.join(60)

    assert recorder.failed == "File too large"
    assert recorder.gaps == [(pytest.approx(2.0, abs=0.25), 4.0)]
    report = recording_report(tmp_path / "call", 4.0)
    assert (report.status, report.has_sound) == ("gaps", True)
    assert report.gaps == tuple(recorder.gaps)


def test_a_recording_without_any_written_audio_has_failed(tmp_path: Path) -> None:
    with taken_place(tmp_path / "call"):
        recorder = Recorder(tmp_path / "call", "one", PCM)
        says(recorder, 0, 4)
        recorder.close()
        recorder.give_up(0.0)
        assert recorder.join(60)
    assert recorder.gaps == [(0.0, 4.0)]
    assert recording_report(tmp_path / "call", 4.0) == RecordingReport("failed", ((0.0, 4.0),))


def test_what_was_erased_after_the_call_does_not_come_back(tmp_path: Path) -> None:
    call = tmp_path / "call"
    recorder = Recorder(call, "one", PCM)
    says(recorder, 0, 3)
    recorder.wait_written()
    with full_disk(1):
        says(recorder, 3, 5)
        until_tried(recorder)
        recorder.close()
        shutil.rmtree(call)
    assert recorder.join(60)
    assert not call.exists()


def test_a_disk_that_comes_and_goes_makes_no_endless_list(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", "one", PCM)
    with full_disk(1):
        says(recorder, 0, 40)
        for at in range(300):
            recorder.agent(b"\x01\x02" * 4000, (100 + 2 * at) * RATE)
    finish(recorder, 700.0)
    gaps = recording_report(tmp_path / "call", 700.0).gaps
    assert 1 < len(gaps) <= 100
    assert gaps[-1][1] > 690


# --- the report of a folder ------------------------------------------------------------------------------------------


def recorded(directory: Path, start: float, end: float, owner: str = "one") -> None:
    recorder = Recorder(directory, owner, PCM)
    says(recorder, start, start + 1)
    says(recorder, end - 1, end)
    finish(recorder)


def test_nothing_is_missing_where_nobody_spoke(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    recorder.agent(b"\x01\x02" * 800, 5 * RATE)
    finish(recorder, 20.0)
    assert recording_report(tmp_path, 20.0) == RecordingReport("complete", has_sound=True)


def test_the_rest_of_the_call_is_missing_after_its_owner_died(tmp_path: Path) -> None:
    recorded(tmp_path, 0, 5)
    (tmp_path / "one.json").unlink()  # it is written at the end
    report = recording_report(tmp_path, 9.0)
    assert (report.status, report.gaps) == ("gaps", ((5.25, 9.0),))
    assert recording_report(tmp_path, 5.2).status == "complete"
    assert recording_report(tmp_path, None) == RecordingReport("complete", has_sound=True)


def test_between_two_owners_the_call_is_missing(tmp_path: Path) -> None:
    recorded(tmp_path, 0, 5, "one")
    (tmp_path / "one.json").unlink()
    recorded(tmp_path, 8, 12, "two.worker1")
    assert recording_report(tmp_path, 12.0).gaps == ((5.25, 8.0),)


def test_a_recording_from_before_there_were_notes_is_taken_as_it_is(tmp_path: Path) -> None:
    recorded(tmp_path, 0, 5)
    (tmp_path / "one.json").unlink()
    segment = tmp_path / "one.seg"
    segment.write_bytes(b"VASEG1" + segment.read_bytes()[6:])
    assert recording_report(tmp_path, 9.0) == RecordingReport("complete", has_sound=True)
    assert seconds_heard(tmp_path) == [0, 4]


@pytest.mark.parametrize("notes", [b"", b"[]", b"{}", b'{"gaps": [[1]], "ended": 1}', b"\xff", b'{"gaps": 7}'])
def test_notes_that_cannot_be_read_are_none(tmp_path: Path, notes: bytes) -> None:
    recorded(tmp_path, 0, 5)
    (tmp_path / "one.json").write_bytes(notes)
    assert recording_report(tmp_path, 5.0) == RecordingReport("complete", has_sound=True)


@pytest.mark.parametrize(
    ("duration", "status", "gaps"), [(None, "none", ()), (0.0, "none", ()), (9.0, "failed", ((0.0, 9.0),))]
)
def test_a_call_without_a_folder(
    tmp_path: Path, duration: float | None, status: str, gaps: tuple[tuple[float, float], ...]
) -> None:
    report = recording_report(tmp_path / "call", duration)
    assert (report.status, report.gaps, report.has_sound) == (status, gaps, False)


def test_a_folder_that_cannot_be_looked_at_has_no_sound(tmp_path: Path) -> None:
    (tmp_path / "call").write_text("a file in the place of the folder")
    assert recording_report(tmp_path / "call", 3.0).status == "failed"


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    call = tmp_path / "recordings" / "call"
    recorded(call, 0, 3)
    assert [oct(path.stat().st_mode & 0o777) for path in (call.parent, call)] == ["0o700", "0o700"]
    assert {oct(path.stat().st_mode & 0o777) for path in call.iterdir()} == {"0o600"}
