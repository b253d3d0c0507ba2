"""Detects when the caller makes a sound, and does not take the agent's own echo for one.

While the agent speaks, it does not take a voice behind the caller for the caller, either.
"""

from media.caller_level import CallerLevel
from media.echo import EchoGuard
from media.formats import AudioFormat
from media.playout import PlayedAudio
from media.vad import SoundDetector, SoundStarted, SoundStopped

_UNSURE_SECONDS = 0.1
"""How long a sound may be undecided. After that it counts as the caller's: the agent must not talk over them."""
_STARTED_SECONDS = 0.15
"""How long ago a sound that was an echo until now became the caller's."""
_WORDS_AFTER_SOUND_SECONDS = 1.5
"""How late speech to text may report the words of a sound that is over."""
_CLOCKS_APART_SECONDS = 0.25
"""Audio that comes this much earlier or later than its samples say had a gap: align the clocks again."""


class CallerSounds:
    """Detects the caller's sounds, from the caller's audio and what is played to them.

    Positions are samples of the caller's audio.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._rate = audio_format.sample_rate
        self._detector = SoundDetector(audio_format)
        self._guard = EchoGuard(audio_format)
        self._level = CallerLevel()
        self._agent_until = 0
        """The end of the agent's audio that was played so far, on its own clock."""
        self._is_over_agent = False
        """Whether the agent spoke during the current sound."""
        self._loud_until = self._faint_until = float("-inf")
        """The last sample of the caller's sound, and of a faint one over the agent's voice."""
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
        """Note the agent's audio. The caller hears it after that delay at the earliest, so no echo comes before."""
        at_sample = piece.at_sample + int(output_latency_seconds * self._rate)
        self._guard.played(piece.audio, at_sample)
        self._agent_until = at_sample + self._format.samples(piece.audio)

    def feed(self, audio: bytes, leg_seconds: float) -> list[SoundStarted | SoundStopped]:
        """Take the caller's next audio, which arrived ``leg_seconds`` after the answer. Returns its sound events."""
        events: list[SoundStarted | SoundStopped] = []
        before = self._detector.measured_windows
        for event in self._detector.feed(audio):
            match event:
                case SoundStarted():
                    self._suspect = event
                    self._level.sound_started()
                    self._is_over_agent = False
                case SoundStopped():
                    self._suspect = None
                    if self._has_started:
                        self._has_started = False
                        events.append(event)
        self._set_clock(leg_seconds)
        self._measure(self._detector.measured_windows - before)
        if self._suspect is not None and self._is_callers(self._suspect):
            latest = self._detector.position - round(_STARTED_SECONDS * self._rate)
            events.append(SoundStarted(max(self._suspect.at_sample, latest)))
            self._suspect, self._has_started = None, True
        return events

    def turn_ended(self) -> None:
        """The caller has finished a turn with words: remember how loud it was."""
        self._level.turn_ended()

    @property
    def is_faint(self) -> bool:
        """Whether the words that come now are those of a voice behind the caller, who was silent meanwhile."""
        since = self.position - _WORDS_AFTER_SOUND_SECONDS * self._rate
        return self._faint_until > since >= self._loud_until

    def _measure(self, new_windows: int) -> None:
        """Measure the sound that is heard now, if any."""
        if not self._detector.sounding:
            return
        self._is_over_agent = self._is_over_agent or self._agent_speaks
        if new_windows:
            self._level.hear(list(self._detector.recent_powers), new_windows, is_callers=self._has_started)
        if self._has_started and self._level.is_faint and self._is_over_agent:
            self._faint_until = self.position
        elif self._has_started:
            self._loud_until = self.position

    def _is_callers(self, suspect: SoundStarted) -> bool:
        detector = self._detector
        if self._level.is_barely_heard and self._agent_speaks:
            self._faint_until = detector.position
            return False
        until = detector.measured_samples + (self._offset or 0)
        verdict = self._guard.verdict(detector.recent_powers, detector.noise_power, until)
        if verdict == "unsure":
            return detector.position - suspect.at_sample > _UNSURE_SECONDS * self._rate
        return verdict == "caller"

    @property
    def _agent_speaks(self) -> bool:
        return self._detector.position + (self._offset or 0) < self._agent_until

    def _set_clock(self, leg_seconds: float) -> None:
        offset = int(leg_seconds * self._rate) - self._detector.position
        if self._offset is None or abs(offset - self._offset) > _CLOCKS_APART_SECONDS * self._rate:
            self._offset = offset
