"""Detects when the caller makes a sound, and does not take the agent's own echo for one."""

from media.echo import EchoGuard
from media.formats import AudioFormat
from media.playout import PlayedAudio
from media.vad import SoundDetector, SoundStarted, SoundStopped

_UNSURE_SECONDS = 0.1
"""How long a sound may be undecided. Then it counts as the caller's, who must not be talked over."""
_CLOCKS_APART_SECONDS = 0.25
"""Audio that comes so much earlier or later than its samples say has had a gap: align the clocks again."""


class CallerSounds:
    """Detects the caller's sounds, from the caller's audio and what is played to them.

    Positions are samples of the caller's audio.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._rate = audio_format.sample_rate
        self._detector = SoundDetector(audio_format)
        self._guard = EchoGuard(audio_format)
        self._suspect: SoundStarted | None = None
        self._has_started = False
        """Whether the current sound has been returned as SoundStarted."""
        self._offset: int | None = None
        """How far the clock of the played audio is ahead of the caller's audio, in samples."""

    @property
    def position(self) -> int:
        """How many samples have come so far."""
        return self._detector.position

    @property
    def last_sound_sample(self) -> int:
        """The last sample of the last sound."""
        return self._detector.last_sound_sample

    def raise_threshold(self) -> None:
        """Require louder sounds before they count as the caller's voice."""
        self._detector.raise_threshold()

    def played(self, piece: PlayedAudio, output_latency_seconds: float = 0.0) -> None:
        """Note audio of the agent. The caller hears it at least so much later, so no echo comes earlier."""
        self._guard.played(piece.audio, piece.at_sample + int(output_latency_seconds * self._rate))

    def feed(self, audio: bytes, leg_seconds: float) -> list[SoundStarted | SoundStopped]:
        """Take the caller's next audio, which arrived ``leg_seconds`` after the answer. Returns its sound events."""
        events: list[SoundStarted | SoundStopped] = []
        for event in self._detector.feed(audio):
            match event:
                case SoundStarted():
                    self._suspect = event
                case SoundStopped():
                    self._suspect = None
                    if self._has_started:
                        self._has_started = False
                        events.append(event)
        self._set_clock(leg_seconds)
        if self._suspect is not None and self._is_callers(self._suspect):
            events.append(self._suspect)
            self._suspect, self._has_started = None, True
        return events

    def _is_callers(self, suspect: SoundStarted) -> bool:
        detector = self._detector
        until = detector.measured_samples + (self._offset or 0)
        verdict = self._guard.verdict(detector.recent_powers, detector.noise_power, until)
        if verdict == "unsure":
            return detector.position - suspect.at_sample > _UNSURE_SECONDS * self._rate
        return verdict == "caller"

    def _set_clock(self, leg_seconds: float) -> None:
        offset = int(leg_seconds * self._rate) - self._detector.position
        if self._offset is None or abs(offset - self._offset) > _CLOCKS_APART_SECONDS * self._rate:
            self._offset = offset
