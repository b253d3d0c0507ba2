"""The recording of one call: nothing of it is kept before it starts."""

from collections.abc import Iterable

from app.calls.live.call_clock import CallClock
from app.calls.live.recordings import Recordings
from media.formats import AudioFormat
from media.playout import PlayedAudio
from media.recording import Recorder


class CallRecording:
    """Both sides of a call, from :meth:`start` on."""

    def __init__(
        self, recordings: Recordings | None, call_id: str, audio_format: AudioFormat, clock: CallClock
    ) -> None:
        """With ``recordings`` None, the call is not recorded."""
        self._recordings = recordings
        self._call_id = call_id
        self._format = audio_format
        self._clock = clock
        self._recorder: Recorder | None = None
        self._first_sample = 0
        """Of the agent. What is reported of its sound after the start may be older."""

    def start(self) -> None:
        """Record from now on."""
        if self._recordings is not None:
            self._recorder = self._recordings.start(self._call_id, self._format)
            self._first_sample = round(self._clock.leg_seconds() * self._format.sample_rate)

    def caller(self, audio: bytes) -> None:
        """The caller's next audio, which has just come."""
        if self._recorder is not None:
            self._recorder.caller(audio, self._clock.leg_seconds() - self._format.seconds(audio))

    def agent(self, played: Iterable[PlayedAudio]) -> None:
        """What the caller has heard of the agent."""
        if self._recorder is not None:
            for piece in played:
                if piece.at_sample >= self._first_sample:
                    self._recorder.agent(piece.audio, piece.at_sample)

    async def close(self) -> None:
        """The call has ended: write the rest. Does not wait for a slow disk."""
        if self._recorder is not None and self._recordings is not None:
            await self._recordings.finish(self._recorder, self._clock.leg_seconds())
