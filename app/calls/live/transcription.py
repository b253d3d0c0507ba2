"""The input of a call: the caller's audio goes to the detector and the STT stream, sounds and words become events."""

from collections.abc import Callable

from app.calls.live.call_clock import CallClock
from app.calls.live.charge_events import used
from app.calls.live.voice_activity import CallerSounds
from app.conversation import events as ev
from app.models import Patience
from app.ports.streams import (
    StreamLost,
    StreamRestored,
    Transcript,
    TurnEnded,
    TurnEndedEagerly,
    TurnResumed,
    TurnUpdated,
)
from app.ports.vendors import SttStream
from media.formats import AudioFormat
from media.playout import PlayedAudio
from media.vad import SoundStarted, SoundStopped

_STAGE = "listen"


class TranscriptionInput:
    """Transcribes one caller. ``send`` takes audio and never waits. ``follow`` is the only task."""

    def __init__(
        self,
        stream: SttStream,
        audio_format: AudioFormat,
        *,
        clock: CallClock,
        emit: Callable[[ev.Event], None],
    ) -> None:
        self._stream = stream
        self._format = audio_format
        self._sounds = CallerSounds(audio_format)
        self._clock = clock
        self._emit = emit
        self._words = ""
        self._is_faint = False
        """Whether the words of the turn so far are those of a voice behind the caller."""
        self.heard_seconds = 0.0

    def __repr__(self) -> str:
        return f"<TranscriptionInput {self.heard_seconds:.1f} s heard>"

    def send(self, audio: bytes) -> None:
        """Take the caller's next audio, in the leg's format."""
        self.heard_seconds += self._format.seconds(audio)
        self._stream.send(audio)
        for event in self._sounds.feed(audio, self._clock.leg_seconds()):
            match event:
                case SoundStarted(at_sample):
                    self._stream.note_sound(is_heard=True)
                    self._emit(ev.CallerSoundStarted(self._arrival(at_sample)))
                case SoundStopped(at_sample):
                    self._stream.note_sound(is_heard=False)
                    self._emit(ev.CallerSoundStopped(self._arrival(at_sample)))

    def bill(self) -> list[ev.ProviderUsed]:
        """The audio that the vendors have transcribed, and its cost."""
        return [used(charge, _STAGE) for charge in self._stream.charges()]

    def costs(self) -> list[float | None]:
        """What the vendors will bill for the audio so far, in US dollars; None for an unknown price."""
        return [charge.cost for charge in self._stream.charges()]

    @property
    def dropped_seconds(self) -> float:
        """How much of the caller's audio was never transcribed."""
        return self._stream.dropped_seconds

    def note_played(self, piece: PlayedAudio, output_latency_seconds: float) -> None:
        """Note the agent's audio. The caller hears it after that delay, and it may then come back as an echo."""
        self._sounds.played(piece, output_latency_seconds)

    def raise_threshold(self) -> None:
        """Require louder sounds before they count as the caller's voice."""
        self._sounds.raise_threshold()

    def set_patience(self, patience: Patience) -> None:
        """Set how long the vendor waits in a pause before it ends a turn, if the vendor supports that."""
        self._stream.set_patience(patience)

    async def follow(self) -> None:
        """Emit what the vendor recognises, until the stream ends."""
        async for event in self._stream:
            match event:
                case TurnUpdated(transcript):
                    if transcript.text and transcript.text != self._words:
                        self._words = transcript.text
                        self._is_faint = self._sounds.is_faint
                        self._emit(
                            ev.CallerWords(
                                transcript.text,
                                self._is_faint,
                                transcript.confidence,
                                transcript.way,
                                transcript.language,
                            )
                        )
                case TurnEndedEagerly(transcript):
                    self._emit(
                        ev.CallerTurnEndedEagerly(
                            transcript.text, transcript.language, self._ends_faint(), transcript.confidence
                        )
                    )
                case TurnResumed(transcript):
                    self._emit(ev.CallerTurnResumed(transcript.text))
                case TurnEnded(transcript):
                    self._turn_ended(transcript)
                case StreamLost(error, final):
                    self._emit(ev.ProviderFailed.of(error, _STAGE, final=final))
                case StreamRestored():
                    self._emit(ev.ProviderRestored(self._stream.provider, _STAGE))

    def _turn_ended(self, transcript: Transcript) -> None:
        is_faint = self._ends_faint()
        self._words, self._is_faint = "", False
        if transcript.text:
            self._sounds.turn_ended()
        self._emit(
            ev.CallerTurnEnded(
                transcript.text,
                transcript.confidence,
                transcript.language,
                self._last_voiced_t(),
                is_faint,
                transcript.way,
            )
        )

    def _ends_faint(self) -> bool:
        """Whether the turn that ends was faint. Its end may come long after its last sound, so its words decide."""
        return self._is_faint if self._words else self._sounds.is_faint

    def _last_voiced_t(self) -> float:
        return self._arrival(self._sounds.last_sound_sample)

    def _arrival(self, at_sample: int) -> float:
        """When that sample arrived, in call seconds. The last sample has arrived now."""
        behind = (self._sounds.position - at_sample) / self._format.sample_rate
        return round(max(0.0, self._clock.call_seconds() - behind), 6)
