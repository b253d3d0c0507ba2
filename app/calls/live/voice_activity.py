"""Tells when the caller makes a sound, and keeps the agent's own echo on the line from being taken for one."""

from media.echo import EchoGuard
from media.formats import AudioFormat
from media.playout import PlayedAudio
from media.vad import SoundDetector, SoundStarted, SoundStopped

_UNSURE_SECONDS = 0.1
"""So long the sound may be either; then it is the caller's, who must not be talked over."""
_CLOCKS_APART_SECONDS = 0.25
"""Audio that comes so much earlier or later than counted has left a gap: the clocks are set anew."""


class CallerSounds:
    """Fed with what comes from the caller and what is played to him; positions are samples of the caller's audio."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._rate = audio_format.sample_rate
        self._detector = SoundDetector(audio_format)
        self._guard = EchoGuard(audio_format)
        self._suspect: SoundStarted | None = None
        self._is_told = False
        self._offset: int | None = None
        """Of the clock of what is played, ahead of the caller's audio, in samples."""

    @property
    def position(self) -> int:
        """Samples heard so far."""
        return self._detector.position

    @property
    def last_sound_sample(self) -> int:
        """Where the last sound ended."""
        return self._detector.last_sound_sample

    def raise_threshold(self) -> None:
        """Take less for the caller's voice."""
        self._detector.raise_threshold()

    def played(self, piece: PlayedAudio, output_latency_seconds: float = 0.0) -> None:
        """What the caller hears of the agent, so much later at the least: no echo of it comes before."""
        self._guard.played(piece.audio, piece.at_sample + int(output_latency_seconds * self._rate))

    def feed(self, audio: bytes, leg_seconds: float) -> list[SoundStarted | SoundStopped]:
        """The next audio of the caller, which arrived at that time since the answer."""
        told: list[SoundStarted | SoundStopped] = []
        for event in self._detector.feed(audio):
            match event:
                case SoundStarted():
                    self._suspect = event
                case SoundStopped():
                    self._suspect = None
                    if self._is_told:
                        self._is_told = False
                        told.append(event)
        self._set_clock(leg_seconds)
        if self._suspect is not None and self._is_callers(self._suspect):
            told.append(self._suspect)
            self._suspect, self._is_told = None, True
        return told

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
