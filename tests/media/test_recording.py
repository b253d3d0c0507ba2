"""The recorder and the WAV made of its segments, against a model that simply keeps samples."""

import io
import os
import signal
import struct
import subprocess
import sys
import wave
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import RecordingUnreadable
from media.formats import AudioFormat
from media.g711 import mulaw_to_pcm
from media.recording import Recorder
from media.whole_recording import WholeRecording, recording_exists

PCM = AudioFormat("pcm_s16le", 8000)
MULAW = AudioFormat("mulaw", 8000)
Samples = npt.NDArray[np.int16]


def ramp(samples: int, first: int = 1) -> bytes:
    """Audio whose every sample is known, and none is silence."""
    return (np.arange(first, first + samples) % 30000 + 1).astype("<i2").tobytes()


def whole_file(directory: Path) -> bytes:
    with closing(WholeRecording(directory)) as whole:
        content = b"".join(whole.read(0, whole.size))
        assert len(content) == whole.size
    return content


def wav_of(directory: Path) -> tuple[Samples, Samples, int]:
    """Caller, agent, rate."""
    content = whole_file(directory)
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    with wave.open(io.BytesIO(content)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth()) == (2, 2)
        stereo = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
        assert len(stereo) == wav.getnframes()
        return stereo[:, 0], stereo[:, 1], wav.getframerate()


def finish(recorder: Recorder) -> None:
    """Close it, and wait for its thread."""
    recorder.close()
    assert recorder.join(60)


def segments(directory: Path) -> list[Path]:
    return list(directory.glob("*.seg"))


def numbers(audio: bytes) -> list[int]:
    return [int(sample) for sample in np.frombuffer(audio, "<i2")]


def test_the_caller_is_left_and_the_agent_right_each_in_its_place(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    recorder.caller(ramp(160), 0.5)
    recorder.agent(ramp(80, 500), 2000)
    finish(recorder)

    caller, agent, rate = wav_of(tmp_path)

    assert rate == 8000
    assert caller.tolist() == [0] * 4000 + numbers(ramp(160))
    assert agent.tolist() == [0] * 2000 + numbers(ramp(80, 500)) + [0] * 2080


def test_jitter_makes_no_gap_and_a_late_stretch_does(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    for number, arrival in enumerate([0.0, 0.035, 0.06, 0.12, 0.13, 0.5]):
        recorder.caller(ramp(160, 1000 * number), arrival)
    finish(recorder)

    caller, _, _ = wav_of(tmp_path)

    jittered = b"".join(ramp(160, 1000 * number) for number in range(5))
    assert caller.tolist() == numbers(jittered) + [0] * (4000 - 800) + numbers(ramp(160, 5000))


def test_what_the_caller_sent_before_the_answer_is_left_out(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    recorder.caller(ramp(160), -0.5)
    recorder.caller(ramp(160), -0.01)
    finish(recorder)

    assert wav_of(tmp_path)[0].tolist() == numbers(ramp(160))[80:]


def test_agent_audio_reported_twice_is_recorded_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    recorder.agent(ramp(160), 100)
    recorder.agent(ramp(160, 5000), 180)
    recorder.agent(ramp(10, 9000), 50)
    finish(recorder)

    assert wav_of(tmp_path)[1].tolist() == [0] * 100 + numbers(ramp(160)) + numbers(ramp(160, 5000))[80:]


def test_telephone_audio_is_decoded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", MULAW)
    recorder.caller(bytes(range(256)), 0.0)
    finish(recorder)

    assert wav_of(tmp_path)[0].tobytes() == mulaw_to_pcm(bytes(range(256)))


def test_a_later_owner_goes_on_on_the_same_timeline(tmp_path: Path) -> None:
    for owner, second in (("b", 0.0), ("a", 1.0), ("a", 2.0)):
        recorder = Recorder(tmp_path, owner, PCM)
        recorder.caller(ramp(80), second)
        recorder.agent(ramp(80), round(second * 8000) + 40)
        finish(recorder)

    caller, agent, _ = wav_of(tmp_path)

    assert len(segments(tmp_path)) == 3
    assert np.flatnonzero(caller).tolist() == [start + i for start in (0, 8000, 16000) for i in range(80)]
    assert np.flatnonzero(agent).tolist() == [start + i for start in (40, 8040, 16040) for i in range(80)]


def test_where_two_owners_have_audio_the_later_stretch_is_heard(tmp_path: Path) -> None:
    for owner, start, value in (("a", 50, 1000), ("b", 0, 2000)):
        recorder = Recorder(tmp_path, owner, PCM)
        recorder.agent(ramp(100, value), start)
        finish(recorder)

    assert wav_of(tmp_path)[1].tolist() == numbers(ramp(100, 2000))[:50] + numbers(ramp(100, 1000))


def test_a_long_call_is_made_in_blocks_and_stretches_cross_them(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    second = ramp(8000)
    for number in range(25):
        recorder.caller(second, float(number))
        recorder.wait_written()
    recorder.agent(ramp(100), 30 * 8000)
    finish(recorder)

    caller, agent, _ = wav_of(tmp_path)

    assert caller[: 25 * 8000].tobytes() == second * 25
    assert np.flatnonzero(agent).tolist() == list(range(240000, 240100))


@given(st.integers(0, 400), st.integers(0, 400))
def test_any_piece_is_the_same_as_of_the_whole(first: int, end: int) -> None:
    with TemporaryDirectory() as name:
        for owner, at in (("one", 0.0), ("other", 0.005)):
            recorder = Recorder(Path(name), owner, PCM)
            recorder.caller(ramp(30), at)
            recorder.agent(ramp(20, 500), 60)
            finish(recorder)
        content = whole_file(Path(name))
        with closing(WholeRecording(Path(name))) as whole:
            assert b"".join(whole.read(first, min(end, whole.size))) == content[first:end]


def test_a_piece_of_a_long_call_is_read_across_blocks(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    for second in range(25):
        recorder.caller(ramp(8000, second), float(second))
        recorder.wait_written()
    finish(recorder)
    content = whole_file(tmp_path)
    first, end = 44 + 4 * 79_990 + 1, 44 + 4 * 170_003 + 3
    with closing(WholeRecording(tmp_path)) as whole:
        assert b"".join(whole.read(first, end)) == content[first:end]


def test_a_recording_that_is_open_can_be_read_when_its_files_are_gone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    recorder.caller(ramp(160), 0.0)
    finish(recorder)
    content = whole_file(tmp_path)
    with closing(WholeRecording(tmp_path)) as whole:
        (tmp_path / "one.seg").unlink()
        assert b"".join(whole.read(0, whole.size)) == content


def test_nothing_is_written_before_there_is_audio(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call", "one", PCM)
    recorder.caller(b"", 0.0)
    finish(recorder)
    finish(recorder)

    assert not (tmp_path / "call").exists()
    assert not recording_exists(tmp_path / "call")
    with pytest.raises(RecordingUnreadable, match="no recording"):
        WholeRecording(tmp_path)


def test_after_the_close_nothing_is_taken(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    recorder.caller(ramp(8), 0.0)
    finish(recorder)
    recorder.caller(ramp(8), 0.1)
    recorder.agent(ramp(8), 0)

    caller, agent, _ = wav_of(tmp_path)
    assert len(caller) == 8
    assert not agent.any()
    assert recording_exists(tmp_path)


def test_the_backlog_of_a_stalled_caller_fills_the_stall(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    for number in range(150):
        said = number * 0.02
        recorder.caller(ramp(160, 160 * number + 1), 1.98 if 1.0 <= said < 2.0 else said)
    finish(recorder)

    assert wav_of(tmp_path)[0].tolist() == numbers(ramp(150 * 160))


def test_no_more_than_a_quarter_of_a_second_is_held_back(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    for frame in range(200):
        recorder.caller(ramp(160), frame * 0.1)  # a gap before each frame
        recorder.wait_written()
        if frame % 11 == 0 and any(tmp_path.iterdir()):
            written = np.count_nonzero(wav_of(tmp_path)[0])
            assert (frame + 1) * 160 - written < 2000 + 160  # and what came last
    finish(recorder)
    assert np.count_nonzero(wav_of(tmp_path)[0]) == 200 * 160


@given(st.integers(0, 900))
@settings(max_examples=50)
def test_wherever_the_file_was_cut_the_beginning_is_heard(cut: int) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        recorder = Recorder(directory, "one", PCM)
        recorder.agent(ramp(100), 0)
        recorder.agent(ramp(100, 500), 300)
        recorder.agent(ramp(100, 900), 600)
        finish(recorder)
        whole = wav_of(directory)[1]
        (segment,) = segments(directory)
        os.truncate(segment, min(cut, segment.stat().st_size))

        if not recording_exists(directory):
            return
        agent = wav_of(directory)[1]

    assert agent.tolist() == whole[: len(agent)].tolist()
    assert np.count_nonzero(agent) >= min(cut, 639) // 2 - 50


def test_files_that_are_no_segments_are_passed_over(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "one", PCM)
    recorder.caller(ramp(8), 0.0)
    finish(recorder)
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    (tmp_path / "empty.seg").touch()
    (tmp_path / "other.seg").write_bytes(b"RIFF and much more")
    (tmp_path / "encoding.seg").write_bytes(whole[:6] + b"\x07" + whole[7:])
    (tmp_path / "rate.seg").write_bytes(whole[:7] + bytes(4) + whole[11:])
    segment.write_bytes(whole + b"?" + whole[12:])  # a record of no side ends the file
    (tmp_path / "late.seg").write_bytes(whole[:12] + b"\xff" * 8 + whole[20:])  # centuries after the answer

    assert wav_of(tmp_path)[0].tolist() == numbers(ramp(8))


def test_segments_of_different_rates_do_not_fit(tmp_path: Path) -> None:
    for rate in (8000, 16000):
        recorder = Recorder(tmp_path, str(rate), AudioFormat("pcm_s16le", rate))
        recorder.caller(ramp(8), 0.0)
        finish(recorder)

    with pytest.raises(RecordingUnreadable, match="rates"):
        WholeRecording(tmp_path)


def test_kill_9_loses_at_most_a_quarter_of_a_second(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from media.formats import AudioFormat
from media.recording import Recorder
recorder = Recorder(Path({str(tmp_path)!r}), "one", AudioFormat("mulaw", 8000))
for frame in range(150):
    recorder.caller(b"\\x10" * 160, frame * 0.02)
    recorder.agent(b"\\x20" * 160, frame * 160)
recorder.wait_written()
os.kill(os.getpid(), signal.SIGKILL)
"""
    died = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False)

    caller, agent, _ = wav_of(tmp_path)
    assert died.returncode == -signal.SIGKILL
    assert np.count_nonzero(caller) > 2.75 * 8000
    assert np.count_nonzero(agent) > 2.75 * 8000


calls = st.lists(
    st.tuples(st.sampled_from(["caller", "agent", "owner"]), st.integers(0, 500), st.integers(-300, 1500)), max_size=40
)


@given(calls)
@settings(max_examples=80)
def test_any_interleaving_is_what_a_plain_model_keeps(steps: list[tuple[str, int, int]]) -> None:
    """Steps move on from where a side is: the last number is how far the audio is from it."""
    model: dict[str, list[int]] = {"caller": [], "agent": []}
    with TemporaryDirectory() as name:
        recorder = Recorder(Path(name), "first", PCM)
        origin = {"caller": 0, "agent": 0}  # a new owner knows nothing of what the old one wrote: it begins behind it
        for number, (what, samples, distance) in enumerate(steps):
            if what == "owner":
                finish(recorder)
                recorder = Recorder(Path(name), f"owner{number}", PCM)
                origin = {side: len(kept) for side, kept in model.items()}
                continue
            kept, audio = model[what], ramp(samples, 100 * number)
            fresh = len(kept) == origin[what] or not kept
            start = max(len(kept) if fresh and kept else 0, len(kept) + distance)
            if what == "caller":
                start = max(start, len(kept))  # nothing comes before it was said
                recorder.caller(audio, start / 8000)
                if kept and not fresh and start - len(kept) <= 480:
                    start = len(kept)
            else:
                recorder.agent(audio, start)
            new = numbers(audio)[max(0, len(kept) - start) :]
            if new:
                kept += [0] * (start - len(kept)) + new
        finish(recorder)

        if not any(model.values()):
            assert not recording_exists(Path(name))
            return
        caller, agent, _ = wav_of(Path(name))

    length = max(map(len, model.values()))
    assert caller.tolist() == model["caller"] + [0] * (length - len(model["caller"]))
    assert agent.tolist() == model["agent"] + [0] * (length - len(model["agent"]))
