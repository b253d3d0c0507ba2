"""Twilio's end of a media stream, as a line that the simulated caller calls over."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from xml.etree import ElementTree

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from sandbox.media_client import AgentAudio, AgentMark, CallBroken, ClearRequested, ServiceMessage
from sandbox.media_format import MediaFormat
from sandbox.telephone import Telephone
from tests.end_to_end.lines import opened

STREAM_SID = "MZ18ad3ab5a668481ce02b83e7395059f0"
CALL_SID = "CAdf8e9c3e5a2b4b8f8b7c6d5e4f3a2b1c"
TELEPHONE = Telephone(MediaFormat("mulaw", 8000), acknowledges_clear=False)


def stream_of(twiml: str) -> tuple[str, dict[str, str]]:
    """The address and the parameters that Twilio reads out of TwiML."""
    response = ElementTree.fromstring(twiml)  # noqa: S314 - of our own service
    stream = response.find("Connect/Stream")
    assert response.tag == "Response"
    assert stream is not None
    parameters = {each.attrib["name"]: each.attrib["value"] for each in stream.findall("Parameter")}
    return stream.attrib["url"], parameters


def start(parameters: dict[str, str]) -> dict[str, Any]:
    """The message with which a stream begins."""
    media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    ids = {"streamSid": STREAM_SID, "callSid": CALL_SID, "accountSid": "AC0", "tracks": ["inbound"]}
    return _message("start", {**ids, "customParameters": parameters, "mediaFormat": media_format})


class TwilioLine:
    """One stream. Marks come back when the sound before them was played, and all of them after a ``clear``."""

    def __init__(self, socket: ClientConnection, call_id: str) -> None:
        self.call_id = call_id
        self.ready_at = asyncio.get_running_loop().time()
        self._socket = socket
        self._marks: list[str] = []

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def messages(self) -> AsyncIterator[ServiceMessage]:
        while True:
            try:
                message = json.loads(await self._socket.recv())
            except ConnectionClosed as closed:
                if self.close_code == 1000:
                    return
                raise CallBroken("the stream broke", close_code=self.close_code) from closed
            assert message["streamSid"] == STREAM_SID
            yield await self._meaning(message)

    async def _meaning(self, message: dict[str, Any]) -> ServiceMessage:
        match message["event"]:
            case "media":
                audio = b64decode(message["media"]["payload"], validate=True)
                return AgentAudio(TELEPHONE.format.decode(audio))
            case "mark":
                self._marks.append(message["mark"]["name"])
                return AgentMark(message["mark"]["name"])
            case "clear":
                for name in list(self._marks):
                    await self.send_mark(name)
                return ClearRequested()
            case other:
                raise AssertionError(f"Twilio knows no {other}")

    async def send_audio(self, audio: bytes) -> None:
        await self._tell("media", {"track": "inbound", "payload": b64encode(audio).decode()})

    async def send_digit(self, digit: str) -> None:
        await self._tell("dtmf", {"track": "inbound_track", "digit": digit})

    async def send_mark(self, name: str) -> None:
        self._marks.remove(name)
        await self._tell("mark", {"name": name})

    async def send_cleared(self, played_samples: int) -> None:
        raise AssertionError("Twilio does not tell")

    async def send_stop(self) -> None:
        await self._tell("stop", {"accountSid": "AC0", "callSid": CALL_SID})

    async def close(self) -> None:
        await self._socket.close()

    async def _tell(self, event: str, content: dict[str, Any]) -> None:
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps(_message(event, content)))


@asynccontextmanager
async def twilio_line(twiml: str) -> AsyncIterator[TwilioLine]:
    """The stream that the TwiML asks for, started."""
    url, parameters = stream_of(twiml)
    async with opened(url) as line:
        await line.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        await line.send(start(parameters))
        yield TwilioLine(line.socket, parameters["call_id"])


def _message(event: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"event": event, "streamSid": STREAM_SID, event: content}
