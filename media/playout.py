"""The agent's voice on its way to the caller: leaves at real time with a small lead, and knows what has been played.

Pure: the time is an argument, in seconds since the leg was ready; positions are samples on that same timeline.
"""

from collections import deque
from dataclasses import dataclass

from media.formats import AudioFormat

_KEPT_SECONDS = 1.0
"""How long played audio is kept, so that the far end may correct what it has played."""


@dataclass(frozen=True, slots=True)
class PlayedAudio:
    """Audio that the caller has heard, or will have if it is not cut."""

    at_sample: int
    """Position of its first sample, in samples since the leg was ready."""
    audio: bytes


class Playout:
    """Plays one utterance after another; an utterance may be cut, and gone on with where the caller stopped hearing.

    What has left but not been played is estimated from the clock, until the far end says it exactly.
    """

    def __init__(self, audio_format: AudioFormat, lead_seconds: float) -> None:
        self._format = audio_format
        self._lead = int(lead_seconds * audio_format.sample_rate)
        self._waiting: deque[bytes] = deque()
        self._sent: deque[PlayedAudio] = deque()
        self._end = 0
        """Where on the timeline the audio that has left will have been played."""
        self._utterance_sent = 0
        self._total_sent = 0
        self._finished = False

    def __repr__(self) -> str:
        waiting = sum(map(len, self._waiting))
        return f"<Playout {self._utterance_sent} samples of this utterance sent, {waiting} bytes wait>"

    def begin(self) -> None:
        """The next audio is of a new utterance."""
        self._waiting.clear()
        self._utterance_sent = 0
        self._finished = False

    def add(self, audio: bytes) -> None:
        """More of the utterance; of any length."""
        self._waiting.append(audio)

    def finish(self) -> None:
        """No more will be added: a last piece shorter than a frame may leave."""
        self._finished = True

    @property
    def sent(self) -> int:
        """Samples of this utterance that have left and were not taken back."""
        return self._utterance_sent

    def release(self, now: float) -> PlayedAudio | None:
        """What may leave now, and where it will be played: whole frames, at most the lead ahead of real time."""
        here = self._sample(now)
        start = max(self._end, here)
        room = here + self._lead - start
        frame = self._format.frame_samples
        audio = self._take(room // frame * frame, whole_frames=not self._finished)
        if not audio:
            return None
        piece = PlayedAudio(start, audio)
        samples = self._format.samples(audio)
        self._sent.append(piece)
        self._end = start + samples
        self._utterance_sent += samples
        self._total_sent += samples
        return piece

    def next_release(self, now: float) -> float | None:
        """When more may leave; None while nothing waits."""
        if not self._waiting:
            return None
        room_at = self._end + self._format.frame_samples - self._lead
        return max(now, room_at / self._format.sample_rate)

    def played(self, now: float) -> int:
        """Samples of this utterance that the caller has heard by now."""
        return self._utterance_sent - min(self._utterance_sent, self._unplayed(now))

    def ends_at(self) -> float:
        """When everything that has left will have been played."""
        return self._end / self._format.sample_rate

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the utterance waits to leave."""
        return not self._waiting

    def cut(self, now: float) -> int:
        """The far end throws away what it has not played; that waits again. Returns the samples heard."""
        unplayed = min(self._unplayed(now), self._utterance_sent)
        self._take_back(unplayed)
        self._end = min(self._end, self._sample(now))
        return self._utterance_sent

    def correct(self, played_total: int) -> int:
        """After a cut: the far end had played so many samples since it was ready. Returns the samples heard."""
        too_many = self._total_sent - played_total
        if too_many > 0:
            self._take_back(min(too_many, self._utterance_sent))
        elif too_many < 0:
            audio = self._take(-too_many, whole_frames=False)
            samples = self._format.samples(audio)
            self._sent.append(PlayedAudio(self._end, audio))
            self._end += samples
            self._utterance_sent += samples
            self._total_sent += samples
        return self._utterance_sent

    def take_played(self, now: float, *, everything: bool = False) -> list[PlayedAudio]:
        """Audio that was heard, once it can be corrected no more, or all that was heard by now."""
        settled = self._sample(now) - (0 if everything else int(_KEPT_SECONDS * self._format.sample_rate))
        played = []
        while self._sent and self._sent[0].at_sample + self._format.samples(self._sent[0].audio) <= settled:
            played.append(self._sent.popleft())
        return played

    def _sample(self, now: float) -> int:
        return int(now * self._format.sample_rate)

    def _unplayed(self, now: float) -> int:
        return max(0, self._end - self._sample(now))

    def _take(self, samples: int, *, whole_frames: bool) -> bytes:
        """Remove up to so many samples from the front of what waits."""
        wanted = samples * self._format.sample_bytes
        pieces: list[bytes] = []
        got = 0
        while self._waiting and got < wanted:
            piece = self._waiting.popleft()
            pieces.append(piece)
            got += len(piece)
        audio = b"".join(pieces)
        kept = min(len(audio), max(wanted, 0))
        if whole_frames:
            kept -= kept % self._format.frame_bytes
        if kept < len(audio):
            self._waiting.appendleft(audio[kept:])
        return audio[:kept]

    def _take_back(self, samples: int) -> None:
        """Let the last samples that left wait again; as far as they are still kept."""
        missing = samples * self._format.sample_bytes
        while missing > 0 and self._sent:
            last = self._sent.pop()
            kept = max(0, len(last.audio) - missing)
            if kept:
                self._sent.append(PlayedAudio(last.at_sample, last.audio[:kept]))
            back = last.audio[kept:]
            self._waiting.appendleft(back)
            missing -= len(back)
            samples_back = self._format.samples(back)
            self._utterance_sent -= samples_back
            self._total_sent -= samples_back
