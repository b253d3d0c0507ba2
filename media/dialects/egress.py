"""LiveKit track egress to a websocket: listen-only access to one track of a room; nothing goes back but the close.

LiveKit's egress is the client (``pkg/pipeline/sink/websocket.go`` of livekit/egress). Binary messages are raw 16-bit
little-endian samples at 48000 Hz, two channels interleaved, of any length, mostly 10 ms. Text is ``{"muted": true}`` or
``false``; while the track is muted the audio continues as silence. There is no start message: the address names the
call. The stream ends with a close without a code. The egress reads and ignores what is sent to it.
"""

import numpy as np

from media.dialects.protocol import AUDIO_SECONDS, AudioReceived, ProtocolEvent, Refusal, StreamProtocol, json_object
from media.formats import AudioFormat
from media.resample import Converter

EGRESS_FORMAT = AudioFormat("pcm_s16le", 16000)
"""The format the stream is converted to: what speech recognition works with, and no less than a telephone delivers."""
_SENT = AudioFormat("pcm_s16le", 48000)
_CHANNELS = 2


class EgressProtocol(StreamProtocol):
    """One track's stream; it has started as soon as the socket is open."""

    dialect = "egress"
    forgives_messages = True

    def __init__(self, now: float, *, media_timeout_seconds: float = AUDIO_SECONDS) -> None:
        super().__init__(now, media_timeout_seconds=media_timeout_seconds)
        self._converter = Converter(_SENT, EGRESS_FORMAT)
        self._begin(EGRESS_FORMAT, now, frame_bytes=_CHANNELS * _SENT.sample_bytes)

    def _audio(self, message: bytes, now: float) -> AudioReceived | None:
        whole = self._whole(message)
        if not whole:
            return None
        both = np.frombuffer(whole, "<i2").reshape(-1, _CHANNELS)
        mono = (both.astype(np.int32).sum(axis=1) // _CHANNELS).astype("<i2")
        return self._heard(self._converter.convert(mono.tobytes()), now)

    def _text(self, message: str, now: float) -> ProtocolEvent | None:
        fields = json_object(message)
        if fields is None:
            raise Refusal("bad_message", "not a JSON object")
        self._ignored += not isinstance(fields.get("muted"), bool)
        return None
