"""Sound of a call that is being recorded, for somebody who listens in."""

from contextlib import closing
from pathlib import Path

import numpy as np

from media.formats import AudioFormat
from media.live_sound import LiveBlock, LiveSound
from media.segments import AGENT, CALLER, segment_header, segment_record

RATE = 8000
PCM = AudioFormat("pcm_s16le", RATE)
QUARTER = RATE // 4


def both(start: int, samples: int = QUARTER) -> bytes:
    """Of both sides, what every sample is known of: the agent's is the negative of the caller's."""
    ramp = np.arange(start + 1, start + samples + 1, dtype="<i2")
    return segment_record(CALLER, start, ramp.tobytes()) + segment_record(AGENT, start, (-ramp).tobytes())


def add(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(content)


def stereo(block: LiveBlock | None) -> np.ndarray:
    assert block is not None
    return np.frombuffer(block.audio, "<i2").reshape(-1, 2)


def test_it_begins_with_the_newest_sound_and_goes_on_without_a_gap(tmp_path: Path) -> None:
    segment = tmp_path / "call" / "owner.seg"
    with closing(LiveSound(segment.parent)) as sound:
        assert sound.read() is None  # nothing is recorded yet
        add(segment, segment_header(PCM) + b"".join(both(QUARTER * turn) for turn in range(8)))
        first = sound.read()
        assert first is not None
        assert round(first.start, 3) == 2.0 - 0.67 - 0.02
        heard = [stereo(first)]
        for turn in range(8, 12):
            add(segment, both(QUARTER * turn))
            block = sound.read()
            assert block is not None
            assert block.skipped_seconds == 0
            heard.append(stereo(block))
        heard.append(stereo(sound.read(is_over=True)))
        assert sound.read(is_over=True) is None
    whole = np.concatenate(heard)
    expected = np.arange(round(first.start * RATE) + 1, 12 * QUARTER + 1)
    assert np.array_equal(whole, np.stack([expected, -expected], axis=1))


def test_a_reader_who_is_behind_goes_on_with_the_newest_sound(tmp_path: Path) -> None:
    segment = tmp_path / "owner.seg"
    add(segment, segment_header(PCM) + both(0, RATE))
    with closing(LiveSound(tmp_path)) as sound:
        assert len(stereo(sound.read())) == round(0.02 * RATE)
        add(segment, both(3 * RATE))
        block = sound.read()
        assert block is not None
        assert (round(block.start, 3), round(block.skipped_seconds, 3)) == (2.56, 2.23)
        rest = stereo(sound.read(is_over=True))
    assert list(rest[-1]) == [3 * RATE + QUARTER, -(3 * RATE + QUARTER)]


def test_half_a_record_waits_for_its_other_half(tmp_path: Path) -> None:
    segment, record = tmp_path / "owner.seg", both(RATE)
    add(segment, segment_header(PCM)[:4])
    with closing(LiveSound(tmp_path)) as sound:
        assert sound.read() is None
        add(segment, segment_header(PCM)[4:] + both(0, RATE) + record[:100])
        assert sound.read() is not None
        assert sound.read() is None
        add(segment, record[100:])
        block = sound.read()
    assert block is not None
    assert stereo(block)[-1][1] == -(RATE + QUARTER - round(0.67 * RATE))


def test_the_segment_of_a_process_that_took_the_call_over_is_heard_next(tmp_path: Path) -> None:
    add(tmp_path / "b.seg", segment_header(PCM) + both(0))
    with closing(LiveSound(tmp_path)) as sound:
        sound.read()
        add(tmp_path / "a.seg", segment_header(PCM) + both(QUARTER))
        block = sound.read(is_over=True)
    assert list(stereo(block)[-1]) == [2 * QUARTER, -2 * QUARTER]
