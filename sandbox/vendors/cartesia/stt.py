"""Cartesia's speech recognition ``ink-whisper``: ``/stt/websocket`` and ``POST /stt`` (docs.cartesia.ai)."""

import asyncio
import email.policy
import uuid
from email.parser import BytesParser
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.vendors.cartesia.doors import BROKEN, REQUEST_ID, refusal, turned_away
from sandbox.vendors.cartesia.orders import Declined
from sandbox.vendors.cartesia.stt_faults import twisted
from sandbox.vendors.encodings import SAMPLE_BYTES, Encoding
from sandbox.vendors.faults import CutOff, Stalled, Trouble
from sandbox.vendors.hearing import LEAST_SILENCE_SECONDS, Heard, SpeechDetector
from sandbox.vendors.script import Script, ears
from sandbox.vendors.stage import Stage
from sandbox.vendors.wire import Message, Socket, cut, deny, stage_of, swallow, whole_answer

SOCKET_ROUTE = "stt/websocket"
RECORDING_ROUTE = "stt POST"
_ENCODINGS: Final[dict[str, Encoding]] = {"pcm_s16le": "pcm_s16le", "pcm_mulaw": "pcm_mulaw", "pcm_alaw": "pcm_alaw"}
_MODELS = ("ink-whisper",)
_SLOWER = 2.0
"""How much longer it takes for its words than Deepgram for the end of a turn (pipecat's stt-benchmark)."""


class _Query:
    """The parameters of a request. Raises Declined."""

    def __init__(self, query: QueryParams, model: str) -> None:
        rate = query.get("sample_rate", "")
        if not model.startswith(_MODELS):
            raise Declined(400, "model_not_found", "Model not found", f"model must be one of {', '.join(_MODELS)}")
        if query.get("encoding") not in _ENCODINGS or not rate.isdigit() or not int(rate):
            raise Declined(400, "invalid_request", "Invalid request", "encoding and sample_rate are required")
        self.encoding = _ENCODINGS[query["encoding"]]
        self.sample_rate = int(rate)
        self.language = query.get("language", "en")
        self.max_silence = float(query.get("max_silence_duration_secs", "1.0"))


async def stt_websocket(websocket: WebSocket) -> None:
    """``/stt/websocket``: a stream of audio, and the bare words ``finalize`` and ``close``."""
    stage, call_id = stage_of(websocket), _call_id(websocket)
    stage.keep_request("cartesia", SOCKET_ROUTE, call_id, dict(websocket.query_params))
    trouble = stage.faults.take("cartesia", SOCKET_ROUTE, call_id)
    denial = turned_away(websocket, trouble)
    if denial is not None:
        await deny(websocket, denial)
        return
    try:
        query = _Query(websocket.query_params, websocket.query_params.get("model", ""))
    except Declined as declined:
        await deny(websocket, refusal(declined))
        return
    await websocket.accept()
    stream = _Stream(websocket, query, stage, call_id, trouble)
    try:
        async with trouble.cutting():
            await stream.serve()
    except Stalled:
        await swallow(websocket)
    except CutOff as struck:
        await cut(websocket, struck)
    except WebSocketDisconnect:
        pass  # the client left while something was being sent


class _Stream:
    """One client's stream. Interim pieces replace each other; final ones are joined as they are."""

    def __init__(
        self, websocket: WebSocket, query: _Query, stage: Stage, call_id: str | None, trouble: Trouble
    ) -> None:
        self._websocket = websocket
        self._query = query
        self._stage = stage
        self._call_id = call_id
        self._trouble = trouble
        self._chance = stage.chance("cartesia", call_id)
        self._request_id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        self._socket = Socket(websocket, BROKEN.event(None, self._request_id), trouble)
        script = Script(stage, call_id, (query.language,))
        self._detector, self._recogniser = ears(stage, call_id, script, query.encoding, query.sample_rate)
        self._words_sent = 0
        self._pieces = 0
        self._final_until = 0.0

    async def serve(self) -> None:
        """Serve until the client leaves or asks to close."""
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            if received.get("bytes") is not None:
                await self._hear(received["bytes"])
                continue
            match received.get("text"):
                case "finalize":
                    await self._take_its_time()
                    if self._trouble.named != "stt_never_final":
                        await self._finalize()
                        await self._send({"type": "flush_done"})
                case "close":
                    await self._finalize()
                    await self._send({"type": "done"})
                    await self._websocket.close(1000)
                    return
                case _:
                    bad = Declined(400, "invalid_request", "Invalid request", "send audio, finalize or close")
                    await self._send(bad.event(None, self._request_id))

    async def _hear(self, audio: bytes) -> None:
        for now, speech in self._detector.feed(audio):
            self._recogniser.step(now, speech)
            words = self._recogniser.words
            if speech and len(words) > self._words_sent:
                self._words_sent = len(words)
                await self._send(self._transcript(words, is_final=False))
            elif not speech and words and self._recogniser.silence >= self._query.max_silence:
                await self._finalize()

    async def _finalize(self) -> None:
        """Send what is not final yet."""
        if self._recogniser.silence >= LEAST_SILENCE_SECONDS:
            self._recogniser.settle()
        words = self._recogniser.words
        if words:
            self._stage.note("cartesia", "final_transcript", self._call_id)
            await self._send(self._transcript(words, is_final=True))
            self._pieces += 1
        self._final_until = self._detector.seconds
        self._words_sent = 0
        self._recogniser.end_turn()

    def _transcript(self, words: list[Heard], *, is_final: bool) -> Message:
        """A piece; each but the first begins with a space."""
        text = " ".join(word.text for word in words)
        return {
            "type": "transcript",
            "is_final": is_final,
            "text": f" {text}" if self._pieces else text,
            "duration": round(self._detector.seconds - self._final_until, 3),
            "language": self._query.language,
            "words": [
                {
                    "words": [word.text for word in words],
                    "start": [round(word.start, 3) for word in words],
                    "end": [round(word.end, 3) for word in words],
                }
            ],
        }

    async def _take_its_time(self) -> None:
        await asyncio.sleep(self._stage.profile.end_of_turn.draw(self._chance) * _SLOWER)

    async def _send(self, message: Message) -> None:
        for each in twisted(self._trouble.named, {**message, "request_id": self._request_id}):
            if not await self._socket.send(each):
                raise CutOff(None)


async def stt_recording(request: Request) -> Response:
    """``POST /stt``: transcribe a whole recording, a file of a multipart form."""
    stage, call_id = stage_of(request), _call_id(request)
    fields = _form(request.headers.get("content-type", ""), await request.body())
    stage.keep_request("cartesia", RECORDING_ROUTE, call_id, {name: len(data) for name, data in fields.items()})
    trouble = stage.faults.take("cartesia", RECORDING_ROUTE, call_id)
    denial = turned_away(request, trouble)
    if denial is not None:
        return denial
    language = fields.get("language", b"en").decode()
    try:
        query = _Query(request.query_params, fields.get("model", b"").decode())
    except Declined as declined:
        return refusal(declined)
    audio = fields.get("file", b"")
    recogniser = Script(stage, call_id, (language,)).recogniser
    for now, speech in SpeechDetector(query.encoding, query.sample_rate).feed(audio):
        recogniser.step(now, speech)
    recogniser.settle()
    text = " ".join(word.text for word in recogniser.words)
    recogniser.end_turn()
    duration = round(len(audio) / SAMPLE_BYTES[query.encoding] / query.sample_rate, 3)
    answer = {"type": "transcript", "text": text, "language": language, "duration": duration, "request_id": REQUEST_ID}
    return await whole_answer(JSONResponse(answer), refusal(BROKEN), trouble)


def _call_id(connection: HTTPConnection) -> str | None:
    return connection.headers.get("x-call-id")


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields of a multipart form."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields: dict[str, bytes] = {}
    for part in form.iter_parts():
        name: Any = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        fields[str(name)] = content if isinstance(content, bytes) else b""
    return fields
