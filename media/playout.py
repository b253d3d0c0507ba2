"""The agent's voice on its way to the caller: leaves at real time with a small lead, and knows what has been played.

Pure: the time is an argument, in seconds since the leg was ready; positions are samples on that same timeline.
"""

from collections import deque
from dataclasses import dataclass

from media.formats import AudioFormat

_KEPT_SECONDS = 0.7
"""How long played audio is kept before it is recorded: an answer at the last moment may still take back 0.2 s of it."""
_ANSWER_SECONDS = 0.5
"""How long the far end may take to say what it had played when it was cut."""
_OPEN_CUTS_MAX = 256
"""Cuts that the far end has not answered; when there are more, the oldest is forgotten."""
_PIECES_OF_LEAD = 3
"""So many pieces are the lead, in whole frames: each costs, and longer ones would let the lead run down further."""
_ROUNDING = 0.001
"""Of a sample: so much may a moment that was computed fall short of the sample that it stands for."""


@dataclass(frozen=True, slots=True)
class PlayedAudio:
    """Audio that the caller has heard, or will have if it is not cut."""

    at_sample: int
    """Position of its first sample, in samples since the leg was ready."""
    audio: bytes


@dataclass(slots=True)
class _Cut:
    """The far end was told to throw away what it had not played."""

    at: float
    total_sent: int
    """Samples that had left until then and were not thrown away by an earlier cut."""
    total_played: int
    """As many of them as are believed to have been played."""
    utterance_sent: int
    goes_on: bool = False
    """Whether sound has left since then."""


class Playout:
    """Plays one utterance after another; an utterance may be cut, and gone on with where the caller stopped hearing.

    What has left but not been played is estimated from the clock, until the far end says it exactly.
    """

    def __init__(self, audio_format: AudioFormat, lead_seconds: float) -> None:
        self._format = audio_format
        self._lead = int(lead_seconds * audio_format.sample_rate)
        frame = audio_format.frame_samples
        self._piece = max(frame, self._lead // _PIECES_OF_LEAD // frame * frame)
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._sent: deque[PlayedAudio] = deque()
        self._end = 0
        """Where on the timeline the audio that has left will have been played."""
        self._utterance_sent = 0
        self._total_sent = 0
        self._finished = False
        self._open_cuts: deque[_Cut] = deque(maxlen=_OPEN_CUTS_MAX)
        self._awaited: _Cut | None = None
        """The last cut, while its answer still tells where this utterance goes on."""
        self._confirmed = 0
        """What the far end has said last, in samples."""
        self.is_told = False
        """Whether the far end has said how much it had played at the last cut; else that is an estimate."""

    def __repr__(self) -> str:
        return f"<Playout {self._utterance_sent} samples of this utterance sent, {self._waiting_bytes} bytes wait>"

    def begin(self) -> None:
        """The next audio is of a new utterance."""
        self._waiting.clear()
        self._waiting_bytes = self._utterance_sent = 0
        self._finished = False
        self._go_on()

    def add(self, audio: bytes) -> None:
        """More of the utterance; of any length."""
        self._waiting.append(memoryview(audio))
        self._waiting_bytes += len(audio)

    def finish(self) -> None:
        """No more will be added: a last piece shorter than a frame may leave."""
        self._finished = True

    @property
    def sent(self) -> int:
        """Samples of this utterance that have left and were not taken back; after a cut those that were heard."""
        return self._utterance_sent

    @property
    def wants_more(self) -> bool:
        """Whether less waits than may leave soon. What is not added yet can still be thrown away."""
        return self._waiting_samples < self._lead + 2 * self._piece + self._format.frame_samples

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the utterance waits to leave."""
        return not self._waiting_bytes

    def release(self, now: float) -> PlayedAudio | None:
        """What may leave now, and where it will be played: whole frames, at most the lead ahead of real time.

        It is a third of the lead at least, in whole frames, unless no more waits.
        """
        here, frame = self._sample(now), self._format.frame_samples
        start = max(self._end, here)
        room = (here + self._lead - start) // frame * frame
        if not 0 < self._next_piece <= room:
            return None
        samples = min(room, self._waiting_samples)
        if not self._finished:
            samples -= samples % frame
        self._go_on()
        return self._send(start, samples)

    def next_release(self, now: float) -> float | None:
        """When more may leave; None while less than a frame waits, and more is to be added."""
        piece = self._next_piece
        return max(now, (self._end + piece - self._lead) / self._format.sample_rate) if piece else None

    def ends_at(self) -> float:
        """When everything that has left will have been played."""
        return self._end / self._format.sample_rate

    # What the far end throws away, and what it says of it.

    def cut(self, now: float) -> None:
        """The far end throws away what it has not played; of this utterance, that waits again."""
        here = self._sample(now)
        unplayed = max(0, self._end - here)
        cut = _Cut(now, self._total_sent, self._total_sent - unplayed, self._utterance_sent)
        self._go_back_to(max(0, cut.utterance_sent - unplayed))
        self._drop_after(here)
        self._end = min(self._end, here)
        self._total_sent = cut.total_played
        self._open_cuts.append(cut)
        self._awaited, self.is_told = cut, False

    def answer_due_in(self, now: float) -> float:
        """How long the far end's answer to the last cut is worth waiting for, in seconds.

        0 when it has come, or can change nothing any more, or when the far end does not answer in time.
        """
        if self._awaited is None:
            return 0.0
        return max(0.0, self._open_cuts[0].at + _ANSWER_SECONDS - now)

    def correct(self, total_played: int | None, now: float) -> None:
        """The answer to the oldest cut that has none: samples played until then since the leg was ready, if known.

        It is clamped to what had been sent. Comes it late, or after the utterance has gone on, then it only sets the
        count right for the cuts to come.
        """
        if not self._open_cuts:
            return
        cut = self._open_cuts.popleft()
        if total_played is not None:
            self._believe(cut, min(max(total_played, self._confirmed), cut.total_sent))
            if not cut.goes_on and now - cut.at <= _ANSWER_SECONDS:
                self._go_to(max(0, cut.utterance_sent - (cut.total_sent - cut.total_played)))
                self.is_told = cut is self._awaited
        if cut is self._awaited:
            self._awaited = None

    # What was heard.

    def take_played(self, now: float, *, everything: bool = False) -> list[PlayedAudio]:
        """Audio that was heard, once it can be corrected no more, or all that was heard by now."""
        settled = self._sample(now) - (0 if everything else self._kept_samples)
        played = []
        while self._sent and self._end_of(self._sent[0]) <= settled:
            played.append(self._sent.popleft())
        return played

    def next_played(self) -> float | None:
        """When there will be audio to take; None while there is none."""
        if not self._sent:
            return None
        return (self._end_of(self._sent[0]) + self._kept_samples) / self._format.sample_rate

    @property
    def _next_piece(self) -> int:
        """How much room the next to leave needs, in whole frames, a last rest too; 0 while nothing may leave."""
        frame = self._format.frame_samples
        waiting = self._waiting_samples + (frame - 1 if self._finished else 0)
        return min(self._piece, waiting // frame * frame)

    @property
    def _kept_samples(self) -> int:
        return int(_KEPT_SECONDS * self._format.sample_rate)

    @property
    def _waiting_samples(self) -> int:
        return self._waiting_bytes // self._format.sample_bytes

    def _sample(self, now: float) -> int:
        return int(now * self._format.sample_rate + _ROUNDING)

    def _end_of(self, piece: PlayedAudio) -> int:
        return piece.at_sample + self._format.samples(piece.audio)

    def _send(self, at_sample: int, samples: int) -> PlayedAudio:
        piece = PlayedAudio(at_sample, self._take(samples))
        self._sent.append(piece)
        self._end = self._end_of(piece)
        self._utterance_sent += samples
        self._total_sent += samples
        return piece

    def _take(self, samples: int) -> bytes:
        """Remove so many samples from the front of what waits."""
        missing = samples * self._format.sample_bytes
        self._waiting_bytes -= missing
        pieces: list[memoryview] = []
        while missing:
            piece = self._waiting.popleft()
            if len(piece) > missing:
                self._waiting.appendleft(piece[missing:])
                piece = piece[:missing]
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def _believe(self, cut: _Cut, total_played: int) -> None:
        """All that was counted since the cut began at another number."""
        off = total_played - cut.total_played
        cut.total_played = self._confirmed = total_played
        self._total_sent += off
        for later in self._open_cuts:
            later.total_sent += off
            later.total_played += off

    def _go_on(self) -> None:
        """What the far end says of the cuts until now comes too late to change where the utterance goes on."""
        if self._awaited is not None:
            for cut in self._open_cuts:
                cut.goes_on = True
            self._awaited = None

    def _go_to(self, utterance_sent: int) -> None:
        """The caller has heard so much of the utterance: less or more than was believed, also at the later cuts."""
        for later in self._open_cuts:
            later.utterance_sent += utterance_sent - self._utterance_sent
        self._go_back_to(utterance_sent)
        more = min(utterance_sent - self._utterance_sent, self._waiting_samples)
        if more > 0:
            total = self._total_sent
            self._send(self._end, more)
            self._total_sent = total

    def _go_back_to(self, utterance_sent: int) -> None:
        """Let what left after that wait again, as far as it is still kept."""
        while self._utterance_sent > utterance_sent and self._sent:
            last = self._sent.pop()
            samples = self._format.samples(last.audio)
            back = min(samples, self._utterance_sent - utterance_sent)
            kept = (samples - back) * self._format.sample_bytes
            if kept:
                self._sent.append(PlayedAudio(last.at_sample, last.audio[:kept]))
            self._waiting.appendleft(memoryview(last.audio)[kept:])
            self._waiting_bytes += len(last.audio) - kept
            self._utterance_sent -= back

    def _drop_after(self, here: int) -> None:
        """Forget the end of an earlier utterance that will not be heard either."""
        while self._sent and self._end_of(self._sent[-1]) > here:
            last = self._sent.pop()
            kept = max(0, here - last.at_sample) * self._format.sample_bytes
            if kept:
                self._sent.append(PlayedAudio(last.at_sample, last.audio[:kept]))
