"""Segments become one compressed file, and no moment at which the process may die costs any sound.

Real files, a real codec, real locks; processes that die are real ones, too.
"""

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from media.compressed import COMPRESSED_NAME, CompressedFile
from media.compression import compress_recording
from media.formats import AudioFormat
from media.recording import Recorder
from media.recording_report import recording_report
from media.whole_recording import WholeRecording
from tests.media.talking import Samples, conversation, record

RATE = 8000
PCM, MULAW = AudioFormat("pcm_s16le", RATE), AudioFormat("mulaw", RATE)
ROOT = Path(__file__).parents[2]


def recorded(folder: Path, seconds: float = 3.0, *, owner: str = "one", first: float = 0.0) -> Path:
    """One owner's part of a call, from the second ``first`` on."""
    recorder = Recorder(folder, owner, PCM)
    record(recorder, PCM, *conversation(RATE, seconds), first=round(first * RATE))
    recorder.close()
    assert recorder.join(60)
    return folder


def heard(folder: Path) -> Samples:
    with closing(WholeRecording(folder)) as whole:
        content = b"".join(whole.read(0, whole.size))
        assert len(content) == whole.size
    return np.frombuffer(content[44:], "<i2").reshape(-1, 2)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def is_same_sound(was: Samples, now: Samples) -> bool:
    """Whether each side is as loud as it was, in each tenth of a second in which it can be heard."""
    if was.shape != now.shape:
        return False
    tenths = [each[: len(each) // 800 * 800].reshape(-1, 800, 2).astype(float).std(axis=1) for each in (was, now)]
    can_be_heard = tenths[0] > 300
    ratio = tenths[1][can_be_heard] / tenths[0][can_be_heard]
    return bool(can_be_heard.any() and (ratio > 0.7).all() and (ratio < 1.4).all())


def test_one_compressed_file_is_left_and_the_call_is_as_long_as_it_was(tmp_path: Path) -> None:
    recorded(tmp_path)
    was, report = heard(tmp_path), recording_report(tmp_path, 3.0)

    outcome = compress_recording(tmp_path)

    assert outcome.outcome == "done"
    assert outcome.bytes_after == (tmp_path / COMPRESSED_NAME).stat().st_size < 0.2 * outcome.bytes_before
    assert names(tmp_path) == {COMPRESSED_NAME, "one.json"}
    assert is_same_sound(was, heard(tmp_path))
    assert recording_report(tmp_path, 3.0) == report
    assert (tmp_path / COMPRESSED_NAME).stat().st_mode & 0o777 == 0o600


def test_a_second_attempt_finds_it_done(tmp_path: Path) -> None:
    recorded(tmp_path)
    compress_recording(tmp_path)
    written = (tmp_path / COMPRESSED_NAME).read_bytes()
    again = compress_recording(tmp_path)

    assert (again.outcome, again.bytes_before) == ("done", 0)
    assert (tmp_path / COMPRESSED_NAME).read_bytes() == written


def test_there_may_be_nothing_to_compress(tmp_path: Path) -> None:
    assert compress_recording(tmp_path / "call").outcome == "nothing"
    assert compress_recording(tmp_path).outcome == "nothing"


def test_telephone_sound_of_several_owners_is_one_file_with_its_gaps(tmp_path: Path) -> None:
    for owner, first in (("b", 0), ("a", 3)):
        recorder = Recorder(tmp_path, owner, MULAW)
        record(recorder, MULAW, *conversation(RATE, 2.0), first=first * RATE)
        recorder.close(first + 2.0)
        assert recorder.join(60)
    (tmp_path / "b.json").unlink()  # this owner died
    was, report = heard(tmp_path), recording_report(tmp_path, 5.0)
    assert report.gaps == ((2.25, 3.0),)

    assert compress_recording(tmp_path).outcome == "done"

    assert is_same_sound(was, heard(tmp_path))
    assert np.abs(heard(tmp_path)[round(2.3 * RATE) : round(2.7 * RATE)]).max() <= 1
    assert recording_report(tmp_path, 5.0) == report


def test_what_a_stalled_owner_writes_later_is_taken_in_next_time(tmp_path: Path) -> None:
    recorded(tmp_path)
    compress_recording(tmp_path)
    recorded(tmp_path, owner="two", first=3.0)
    was = heard(tmp_path)

    assert compress_recording(tmp_path).outcome == "done"

    assert names(tmp_path) == {COMPRESSED_NAME, "one.json", "two.json"}
    assert len(was) == 6 * RATE
    assert is_same_sound(was, heard(tmp_path))


def test_a_segment_that_is_being_written_is_left_to_its_owner(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    record(recorder, PCM, *conversation(RATE, 2.0))
    before = names(tmp_path)
    assert compress_recording(tmp_path).outcome == "busy"
    assert names(tmp_path) == before

    recorder.close()
    assert recorder.join(60)
    assert compress_recording(tmp_path).outcome == "done"


def test_a_recording_that_is_being_compressed_is_left_alone(tmp_path: Path) -> None:
    recorded(tmp_path)
    (tmp_path / f"{COMPRESSED_NAME}.part").write_bytes(b"of the other process")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        assert compress_recording(tmp_path).outcome == "busy"
    finally:
        os.close(folder)
    assert (tmp_path / f"{COMPRESSED_NAME}.part").exists()


@pytest.mark.parametrize("spoiling", ["tag", "foreign", "late", "rate"])
def test_what_is_not_understood_stays_as_it_is(tmp_path: Path, spoiling: str) -> None:
    segment = recorded(tmp_path) / "one.seg"
    whole = segment.read_bytes()
    match spoiling:
        case "tag":
            segment.write_bytes(whole + b"?" + bytes(40))
        case "foreign":
            (tmp_path / "two.seg").write_bytes(b"RIFF and much more of something else")
        case "late":
            segment.write_bytes(whole + whole[11:12] + b"\xff" * 8 + (8).to_bytes(4, "little") + bytes(8))
        case _:
            (tmp_path / "two.seg").write_bytes(whole[:7] + (16000).to_bytes(4, "little") + whole[11:])
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert compress_recording(tmp_path).outcome == "kept"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("cut", [1, 7, 5000])
def test_a_segment_that_ends_in_the_middle_of_a_record_is_compressed_as_far_as_it_goes(
    tmp_path: Path, cut: int
) -> None:
    segment = recorded(tmp_path) / "one.seg"
    os.truncate(segment, segment.stat().st_size - cut)
    (tmp_path / "empty.seg").touch()  # of a process that died before it wrote anything
    was = heard(tmp_path)

    assert compress_recording(tmp_path).outcome == "done"
    assert is_same_sound(was, heard(tmp_path))


def test_sound_that_the_codec_would_lose_stays_as_it_is(tmp_path: Path) -> None:
    """So slow a wave that no ear hears it, and no codec for ears keeps it."""
    recorder = Recorder(tmp_path, "one", PCM)
    wave = (np.sin(np.arange(4 * RATE) / RATE * 2 * np.pi * 0.5) * 8000).astype("<i2")
    record(recorder, PCM, wave, wave)
    recorder.close()
    assert recorder.join(60)
    was = heard(tmp_path)

    outcome = compress_recording(tmp_path)
    assert (outcome.outcome, outcome.reason) == ("kept", "the sound does not come back at 0 s")
    assert (heard(tmp_path) == was).all()
    assert names(tmp_path) == {"one.seg", "one.json"}


@pytest.mark.parametrize("limit", [0, 100, 3000, 9000])
def test_a_full_disk_costs_nothing_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    recorded(tmp_path)
    was, before = heard(tmp_path), names(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OSError, match=r"."):
            compress_recording(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)

    assert names(tmp_path) == before
    assert (heard(tmp_path) == was).all()
    assert compress_recording(tmp_path).outcome == "done"


def test_a_damaged_compressed_file_costs_no_segment(tmp_path: Path) -> None:
    recorded(tmp_path)
    (tmp_path / COMPRESSED_NAME).write_bytes(b"OggS" * 100)

    assert compress_recording(tmp_path).outcome == "kept"
    assert names(tmp_path) == {COMPRESSED_NAME, "one.seg", "one.json"}


DYING = """
import os, sys
from pathlib import Path
from media.compression import compress_recording

folders = [Path(each) for each in sys.argv[1:]]
calls = ("open", "unlink", "fsync", "rename", "replace", "stat", "write")

def dies_at(step, folder):
    count = 0
    def counted(work):
        def done(*given, **named):
            nonlocal count
            count += 1
            if count == step:
                os._exit(9)
            return work(*given, **named)
        return done
    for name in calls:
        setattr(os, name, counted(getattr(os, name)))
    compress_recording(folder)
    os._exit(0)

import soundfile
for step, folder in enumerate(folders, 1):
    child = os.fork()
    if not child:
        dies_at(step, folder)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_process_may_die_before_any_step_and_the_next_one_ends_the_work(tmp_path: Path) -> None:
    recorded(tmp_path / "call", 0.8)
    recorded(tmp_path / "call", 0.8, owner="two", first=1.0)
    (tmp_path / "call" / "two.json").unlink()
    was, report = heard(tmp_path / "call"), recording_report(tmp_path / "call", 2.0)
    folders = [Path(shutil.copytree(tmp_path / "call", tmp_path / f"call-{number}")) for number in range(45)]

    died = subprocess.run([sys.executable, "-c", DYING, *folders], cwd=ROOT, check=True, capture_output=True, text=True)

    statuses = [int(line) for line in died.stdout.split()]
    steps = statuses.index(0)
    assert steps > 20  # and after so many steps it has come to its end
    assert set(statuses[:steps]) == {9}
    left = [names(folder) for folder in folders[:steps]]
    assert {"one.seg", "two.seg", COMPRESSED_NAME} in [each - {"one.json", "two.json"} for each in left]
    for folder in folders[:steps]:
        assert is_same_sound(was, heard(folder))
        assert recording_report(folder, 2.0) == report
        assert compress_recording(folder).outcome == "done"
        assert names(folder) == {COMPRESSED_NAME, "one.json", "two.json"}
        assert is_same_sound(was, heard(folder))
        assert recording_report(folder, 2.0) == report


def test_an_erasure_at_any_step_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the service erases: the folder is renamed, then removed."""
    recorded(tmp_path / "call", 0.8)
    for step in range(1, 40):
        folder = Path(shutil.copytree(tmp_path / "call", tmp_path / "erased"))
        count = 0

        def counted(name: str, folder: Path = folder, step: int = step) -> None:
            nonlocal count
            count += 1
            if count == step:
                shutil.rmtree(folder.rename(tmp_path / "doomed"))

        with monkeypatch.context() as patched:
            for name in ("open", "unlink", "fsync", "stat", "rename", "replace"):
                real = getattr(os, name)
                patched.setattr(os, name, lambda *given, n=name, r=real, **named: (counted(n), r(*given, **named))[1])
            outcome = compress_recording(folder).outcome
        if count < step:
            assert outcome == "done"
            assert step > 15
            break
        assert not folder.exists()
        assert not (tmp_path / "doomed").exists()
        assert outcome in ("nothing", "done")
    else:
        raise AssertionError("it never came to its end")


def test_the_program_says_what_came_of_it_and_ends_with_who_asked(tmp_path: Path) -> None:
    recorded(tmp_path)
    command = [sys.executable, "-m", "media.compress_program", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        said = json.loads(program.stdout.read())
    assert (said["outcome"], program.returncode) == ("done", 0)
    with CompressedFile(tmp_path / COMPRESSED_NAME) as compressed:
        assert compressed.samples == 3 * RATE

    recorded(tmp_path, owner="two")
    orphan = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert orphan.stdout == b""
    assert "two.seg" in names(tmp_path)
