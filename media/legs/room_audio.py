"""The agent's audio on its way into a LiveKit room: gathered, given to the SDK's source, discarded by a clear."""

import asyncio

import structlog
from livekit import rtc

from media.formats import AudioFormat

log = structlog.get_logger(__name__)

ROOM_FORMAT = AudioFormat("pcm_s16le", 16000)
"""The format of both directions; the SDK resamples to and from the track's 48 kHz."""
GATHER_ABOVE_SECONDS = 0.13
"""While this much waits in the source, audio is gathered: for the SDK a long piece costs no more than a short one."""

_PUMP_MS = 10
"""The source plays whole pieces of this length; a shorter rest would stay in it until the next utterance."""
_PUMP_SAMPLES = ROOM_FORMAT.sample_rate * _PUMP_MS // 1000
_SOURCE_QUEUE_MS = 100 * _PUMP_MS
"""More than the playout lead, so capturing never waits. A value that is no multiple of the pump aborts the process."""
_PIECE_BYTES_MAX = _PUMP_SAMPLES * (_SOURCE_QUEUE_MS // _PUMP_MS) * ROOM_FORMAT.sample_bytes
"""The SDK splits longer pieces in two, and would still play the second part after a clear."""
_UNWRITTEN_SECONDS_MAX = 5
_CAPTURE_ATTEMPTS = 4
_CAPTURE_PAUSE_SECONDS = 0.01


class RoomVoice:
    """An SDK audio source and the one writer that feeds it, ``run``; the SDK refuses a second writer.

    The source plays by its own clock from the moment it gets audio. It gets the first audio of an utterance, or after a
    clear, within some milliseconds; later audio before it has run down to 130 ms. At most 5 s wait to be written; then
    the oldest is dropped. After :meth:`clear`, nothing that was sent before is played.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._source = rtc.AudioSource(ROOM_FORMAT.sample_rate, 1, queue_size_ms=_SOURCE_QUEUE_MS)
        self._unwritten = bytearray()
        self._to_write = asyncio.Event()
        self._gathering: asyncio.TimerHandle | None = None
        self._clears = 0
        self._plays_until = 0.0
        self.was_cut = False
        """Whether the last audio that was sent was cleared before its end was heard."""

    def __repr__(self) -> str:
        return f"<RoomVoice {self._name} {len(self._unwritten)} bytes wait>"

    @property
    def plays_until(self) -> float:
        """When the source will have played everything that was sent, on the loop's clock."""
        return self._plays_until

    def track(self) -> rtc.LocalAudioTrack:
        """The track to publish."""
        return rtc.LocalAudioTrack.create_audio_track("agent", self._source)

    def send(self, audio: bytes) -> None:
        """Queue audio of any length."""
        short = -ROOM_FORMAT.samples(audio) % _PUMP_SAMPLES
        audio += ROOM_FORMAT.silence(short)
        now = asyncio.get_running_loop().time()
        self._plays_until = max(self._plays_until, now) + ROOM_FORMAT.seconds(audio)
        self._unwritten += audio
        self.was_cut = False
        excess = len(self._unwritten) - _UNWRITTEN_SECONDS_MAX * ROOM_FORMAT.sample_rate * ROOM_FORMAT.sample_bytes
        if excess > 0:
            self._plays_until -= ROOM_FORMAT.seconds(bytes(self._unwritten[:excess]))
            del self._unwritten[:excess]
        if self._gathering is None:
            spare = max(0.0, self._source.queued_duration - GATHER_ABOVE_SECONDS)
            self._gathering = asyncio.get_running_loop().call_later(spare, self._to_write.set)

    def clear(self) -> None:
        """Fall silent at once: audio that has not left the source never will."""
        self._clears += 1
        self.was_cut = True
        self._unwritten.clear()
        self._source.clear_queue()
        self._plays_until = min(self._plays_until, asyncio.get_running_loop().time())
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    async def run(self) -> None:
        """Feed the source; ends only by cancellation."""
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            self._gathering = None
            while self._unwritten:
                piece = bytes(self._unwritten[:_PIECE_BYTES_MAX])
                del self._unwritten[:_PIECE_BYTES_MAX]
                await self._write(rtc.AudioFrame(piece, ROOM_FORMAT.sample_rate, 1, ROOM_FORMAT.samples(piece)))

    async def aclose(self) -> None:
        """Release the source."""
        if self._gathering is not None:
            self._gathering.cancel()
        await self._source.aclose()

    async def _write(self, piece: rtc.AudioFrame) -> None:
        """Write a piece, trying again: for about 10 ms after a clear the SDK may refuse."""
        clears = self._clears
        refused = ""
        for _ in range(_CAPTURE_ATTEMPTS):
            try:
                await self._source.capture_frame(piece)
                refused = ""
            except Exception as error:  # noqa: BLE001 - the SDK has no class of its own for it
                refused = type(error).__name__
                await asyncio.sleep(_CAPTURE_PAUSE_SECONDS)
            if self._clears != clears:  # the SDK takes sound in a thread of its own, perhaps after the clear
                self._source.clear_queue()
                return
            if not refused:
                return
        log.warning("room.sound_refused", call_id=self._name, error=refused)
