"""How late a listener hears a live call, in the time of the call: each sample of both sides."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from media.formats import AudioFormat
from media.live_sound import LiveSound
from media.playout import Playout
from media.recording import Recorder
from media.whole_recording import WholeRecording

RATE = 8000
PCM = AudioFormat("pcm_s16le", RATE)
FRAME = RATE // 50
LOOK_SECONDS = 0.05
"""How often the door looks (routers/listening.py)."""
LATEST_SECONDS = 0.86
"""The page adds 0.12 s, so a listener hears everything within a second."""


STEP_SECONDS = 0.09
"""After which the owner comes to record at the latest."""


class Call:
    """A call of which both sides are recorded. The agent is cut now and then, and the far end does not answer."""

    def __init__(self, folder: Path, lead_seconds: float) -> None:
        self.playout = Playout(PCM, lead_seconds)
        self.recorder = Recorder(folder, "owner", PCM)
        self.number = 0

    def run(self, seconds: float) -> Iterator[float]:
        """The agent speaks for 2 s in each 3 s, and is cut after 1.5 s of every other utterance. Yields each 10 ms."""
        for step in range(round(seconds * 100)):
            now = step / 100
            in_turn = step % 300
            if in_turn == 50:
                self.playout.begin()
                self.playout.add(self._sound(2 * RATE))
                self.playout.finish()
            if in_turn == 200 and step % 600 < 300:
                self.playout.cut(now)
                self.playout.begin()
            self.playout.release(now)
            if step % round(STEP_SECONDS * 100) == 0:
                for piece in self.playout.take_played(now):
                    self.recorder.agent(piece.audio, piece.at_sample)
            if step % 2 == 0 and step:
                self.recorder.caller(self._sound(FRAME), now - 0.02)
            self.recorder.wait_written()
            yield now

    def _sound(self, samples: int) -> bytes:
        """Numbers that are never silence."""
        begin, self.number = self.number, self.number + samples
        return (np.arange(begin, begin + samples) % 30000 + 1).astype("<i2").tobytes()


@pytest.mark.parametrize("lead_seconds", [0.02, 0.2, 1.0])
def test_every_sample_is_with_the_listener_in_time_and_none_is_missing(tmp_path: Path, lead_seconds: float) -> None:
    call = Call(tmp_path, lead_seconds)
    heard: list[np.ndarray] = []
    first, latest, since_look = None, 0.0, 0.0
    with closing(LiveSound(tmp_path)) as sound:
        for now in call.run(12.0):
            since_look += 0.01
            if since_look < LOOK_SECONDS - 0.001:
                continue
            since_look = 0.0
            if (block := sound.read()) is not None:
                first = round(block.start * RATE) if first is None else first
                assert block.skipped_seconds == 0
                latest = max(latest, now - block.start)
                heard.append(np.frombuffer(block.audio, "<i2").reshape(-1, 2))
        call.recorder.close()
        assert call.recorder.join(10)
        rest = sound.read(is_over=True)
        assert rest is not None
        heard.append(np.frombuffer(rest.audio, "<i2").reshape(-1, 2))
    whole = np.concatenate(heard)
    assert first is not None
    assert np.array_equal(whole, recording_of(tmp_path)[first : first + len(whole)])
    assert whole[:, 1].any()
    assert latest <= LATEST_SECONDS


def recording_of(folder: Path) -> np.ndarray:
    with closing(WholeRecording(folder)) as whole:
        content = b"".join(whole.read(0, whole.size))
    return np.frombuffer(content[44:], "<i2").reshape(-1, 2)
