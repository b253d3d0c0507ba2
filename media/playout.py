"""The playout buffer of the agent's voice: releases audio in real time with a small lead, and knows what was played.

Pure: time is an argument, in seconds since the leg was ready; positions are samples on the same timeline::

    |---- played ----|------ sent, not played ------|---- waits (may still be cut) ----|
                    now                      now + lead

A cut discards what was sent and not played; of the current utterance that part waits again. How much was played is an
estimate from the clock until the far end answers with the exact count.
"""

from collections import deque
from dataclasses import dataclass

from media.formats import AudioFormat

_KEPT_SECONDS = 0.7
"""How long played audio is kept: a late answer to a cut may still take back 0.2 s of it."""
RECORDED_AFTER_SECONDS = 0.55
"""When played audio is recorded. What a still later answer takes back, from a far end that needs more than 0.3 s for
it, is recorded again when it is played again."""
RECORDED_PIECE_SECONDS = 0.06
"""When so much is to be recorded, the owner should come for it. A long piece does not wait for its end."""
_ANSWER_SECONDS = 0.5
"""How long the far end may take to report what it had played at a cut."""
_OPEN_CUTS_MAX = 256
"""How many unanswered cuts are remembered; beyond that the oldest is forgotten."""
_PIECES_OF_LEAD = 3
"""The lead is divided into this many pieces: more would cost more, fewer would let the lead run down further."""
_ROUNDING = 0.001
"""In samples: how far a computed moment may fall short of its sample because of floating-point rounding."""


@dataclass(frozen=True, slots=True)
class PlayedAudio:
    """Audio that the caller has heard, or will have if it is not cut."""

    at_sample: int
    """Position of its first sample, in samples since the leg was ready."""
    audio: bytes


@dataclass(slots=True)
class _Cut:
    """We have asked the far end to discard what it had not played."""

    at: float
    total_sent: int
    """Samples that were sent by then and that no earlier cut discarded."""
    total_played: int
    """How many of them are believed to have been played."""
    utterance_sent: int
    goes_on: bool = False
    """Whether audio was sent since then."""


class Playout:
    """Plays one utterance after another; a cut utterance can continue where the caller stopped hearing it.

    How much of the sent audio was played is estimated from the clock until the far end reports the exact count.
    """

    def __init__(self, audio_format: AudioFormat, lead_seconds: float) -> None:
        self._format = audio_format
        self._lead = int(lead_seconds * audio_format.sample_rate)
        frame = audio_format.frame_samples
        self._piece = max(frame, self._lead // _PIECES_OF_LEAD // frame * frame)
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._sent: deque[PlayedAudio] = deque()
        self._recorded = 0
        """The position up to which played audio was taken for the recording."""
        self._end = 0
        """The position at which all sent audio will have been played."""
        self._utterance_sent = 0
        self._total_sent = 0
        self._finished = False
        self._open_cuts: deque[_Cut] = deque(maxlen=_OPEN_CUTS_MAX)
        self._awaited: _Cut | None = None
        """The last cut, while its answer can still change where this utterance continues."""
        self._confirmed = 0
        """The last count that the far end reported, in samples."""
        self.is_told = False
        """Whether the far end has reported how much it had played at the last cut; otherwise that is an estimate."""

    def __repr__(self) -> str:
        return f"<Playout {self._utterance_sent} samples of this utterance sent, {self._waiting_bytes} bytes wait>"

    def begin(self) -> None:
        """Start a new utterance; the audio that follows belongs to it."""
        self._waiting.clear()
        self._waiting_bytes = self._utterance_sent = 0
        self._finished = False
        self._go_on()

    def add(self, audio: bytes) -> None:
        """Add audio of any length to the utterance."""
        self._waiting.append(memoryview(audio))
        self._waiting_bytes += len(audio)

    def end_at(self, utterance_samples: int) -> None:
        """Drop what was added after so many samples of the utterance, as far as it was not sent."""
        excess = (self._utterance_sent - utterance_samples) * self._format.sample_bytes + self._waiting_bytes
        while excess > 0 and self._waiting:
            last = self._waiting.pop()
            kept = max(0, len(last) - excess)
            if kept:
                self._waiting.append(last[:kept])
            excess -= len(last) - kept
            self._waiting_bytes -= len(last) - kept

    def finish(self) -> None:
        """Say that no more will be added, so that a last piece shorter than a frame may be sent."""
        self._finished = True

    @property
    def sent(self) -> int:
        """Samples of this utterance that were sent and not taken back; after a cut, those that were heard."""
        return self._utterance_sent

    def heard(self, now: float) -> int:
        """Samples of this utterance that the caller has heard by now."""
        return max(0, self._utterance_sent - max(0, self._end - self._sample(now)))

    def heard_at(self, utterance_samples: int) -> float:
        """When so many samples of this utterance, which were sent, are heard."""
        return (self._end - self._utterance_sent + utterance_samples) / self._format.sample_rate

    @property
    def wants_more(self) -> bool:
        """Whether less audio waits than may be sent soon. Audio that is not added yet can still be discarded."""
        return self._waiting_samples < self._lead + 2 * self._piece + self._format.frame_samples

    @property
    def is_empty(self) -> bool:
        """Whether no audio of the utterance waits."""
        return not self._waiting_bytes

    def release(self, now: float) -> PlayedAudio | None:
        """Take the audio that may be sent now, with its position: whole frames, at most the lead ahead of real time.

        At least a third of the lead, in whole frames, unless no more waits. None when nothing may be sent.
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
        """When :meth:`release` has audio again; None while less than a frame waits and more is to be added."""
        piece = self._next_piece
        return max(now, (self._end + piece - self._lead) / self._format.sample_rate) if piece else None

    def ends_at(self) -> float:
        """When everything that was sent will have been played."""
        return self._end / self._format.sample_rate

    # Cuts, and the far end's answers to them.

    def cut(self, now: float) -> None:
        """Note that the far end discards what it has not played; what was of this utterance waits again."""
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
        """How long to wait for the far end's answer to the last cut, in seconds.

        0 when the answer has come, when it can no longer change anything, or when the far end is too late.
        """
        if self._awaited is None:
            return 0.0
        return max(0.0, self._open_cuts[0].at + _ANSWER_SECONDS - now)

    def correct(self, total_played: int | None, now: float) -> None:
        """Take the answer to the oldest unanswered cut: samples played by then since the leg was ready, if known.

        The count is clamped to what had been sent. If it comes late, or after the utterance has continued, it only
        corrects the count for later cuts.
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
        """Take the audio that was heard and will hardly be corrected; with ``everything``, all that was heard."""
        here = self._sample(now)
        settled = here - (0 if everything else self._unrecorded_samples)
        self._split_at(settled)
        played = []
        for piece in self._sent:
            if self._end_of(piece) > settled:
                break
            if piece.at_sample >= self._recorded:
                self._recorded = self._end_of(piece)
                played.append(piece)
        while self._sent and self._end_of(self._sent[0]) <= min(here - self._kept_samples, self._recorded):
            self._sent.popleft()
        return played

    def next_played(self) -> float | None:
        """When :meth:`take_played` should be called next; None while nothing was sent."""
        piece = next((each for each in self._sent if each.at_sample >= self._recorded), None)
        if piece is None:
            return None
        most = piece.at_sample + int(RECORDED_PIECE_SECONDS * self._format.sample_rate)
        return (min(self._end_of(piece), most) + self._unrecorded_samples) / self._format.sample_rate

    @property
    def _next_piece(self) -> int:
        """How many samples of room the next piece needs, in whole frames; 0 while nothing may be sent."""
        frame = self._format.frame_samples
        waiting = self._waiting_samples + (frame - 1 if self._finished else 0)
        return min(self._piece, waiting // frame * frame)

    @property
    def _kept_samples(self) -> int:
        return int(_KEPT_SECONDS * self._format.sample_rate)

    @property
    def _unrecorded_samples(self) -> int:
        return int(RECORDED_AFTER_SECONDS * self._format.sample_rate)

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

    def _split_at(self, settled: int) -> None:
        """Let the piece in which that position lies end there, or up to a frame before."""
        for index, piece in enumerate(self._sent):
            if piece.at_sample < settled < self._end_of(piece):
                frame = self._format.frame_samples
                size = (settled - piece.at_sample) // frame * frame * self._format.sample_bytes
                if piece.at_sample >= self._recorded and size:
                    begun = PlayedAudio(piece.at_sample, piece.audio[:size])
                    self._sent[index] = PlayedAudio(self._end_of(begun), piece.audio[size:])
                    self._sent.insert(index, begun)
                return

    def _take(self, samples: int) -> bytes:
        """Remove this many samples from the front of what waits."""
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
        """Correct a cut's count, and shift every count made since then by the same difference."""
        off = total_played - cut.total_played
        cut.total_played = self._confirmed = total_played
        self._total_sent += off
        for later in self._open_cuts:
            later.total_sent += off
            later.total_played += off

    def _go_on(self) -> None:
        """From here on, answers to the cuts so far come too late to change where the utterance continues."""
        if self._awaited is not None:
            for cut in self._open_cuts:
                cut.goes_on = True
            self._awaited = None

    def _go_to(self, utterance_sent: int) -> None:
        """Set how much of the utterance the caller has heard, less or more than was believed, also at later cuts."""
        for later in self._open_cuts:
            later.utterance_sent += utterance_sent - self._utterance_sent
        self._go_back_to(utterance_sent)
        more = min(utterance_sent - self._utterance_sent, self._waiting_samples)
        if more > 0:
            total = self._total_sent
            self._send(self._end, more)
            self._total_sent = total

    def _go_back_to(self, utterance_sent: int) -> None:
        """Let the audio that was sent after that point wait again, as far as it is still kept."""
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
        """Drop the end of an earlier utterance that will not be heard either."""
        while self._sent and self._end_of(self._sent[-1]) > here:
            last = self._sent.pop()
            kept = max(0, here - last.at_sample) * self._format.sample_bytes
            if kept:
                self._sent.append(PlayedAudio(last.at_sample, last.audio[:kept]))
