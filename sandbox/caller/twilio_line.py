"""Twilio's end of a media stream, as a line for the simulated caller.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from xml.etree import ElementTree

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from sandbox.caller.media_client import AgentAudio, AgentMark, CallBroken, ClearRequested, ServiceMessage
from sandbox.caller.media_format import MediaFormat
from sandbox.carrier.telephone import Telephone

STREAM_SID = "MZ18ad3ab5a668481ce02b83e7395059f0"
CALL_SID = "CAdf8e9c3e5a2b4b8f8b7c6d5e4f3a2b1c"
TELEPHONE = Telephone(MediaFormat("mulaw", 8000), acknowledges_clear=False)
_CLOSE_NORMAL = 1000


def stream_of(twiml: str) -> tuple[str, dict[str, str]]:
    """The address and the parameters of the stream in TwiML. Raises ValueError when there is none."""
    response = ElementTree.fromstring(twiml)  # noqa: S314 - from our own service
    stream = response.find("Connect/Stream")
    if response.tag != "Response" or stream is None:
        raise ValueError("no <Connect><Stream> in the TwiML")
    parameters = {each.attrib["name"]: each.attrib["value"] for each in stream.findall("Parameter")}
    return stream.attrib["url"], parameters


def start(parameters: dict[str, str], *, is_odd: bool = False) -> dict[str, Any]:
    """The ``start`` message; an odd one writes numbers as strings and has an extra key."""
    media_format: dict[str, Any] = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    if is_odd:
        media_format = {"encoding": "audio/x-mulaw", "sampleRate": "8000", "bitDepth": 8}
    ids = {"streamSid": STREAM_SID, "callSid": CALL_SID, "accountSid": "AC0", "tracks": ["inbound"]}
    return _message("start", {**ids, "customParameters": parameters, "mediaFormat": media_format})


class TwilioLine:
    """One stream. A mark comes back when the sound before it was played; a ``clear`` returns all of them."""

    def __init__(self, socket: ClientConnection, call_id: str, *, is_odd: bool = False) -> None:
        """``is_odd``: each message has unknown keys, and an unknown event comes with each of them."""
        self.call_id = call_id
        self.ready_at = asyncio.get_running_loop().time()
        self._socket = socket
        self._is_odd = is_odd
        self._marks: list[str] = []

    @property
    def close_code(self) -> int | None:
        """The websocket's close code, once it is closed."""
        return self._socket.close_code

    async def messages(self) -> AsyncIterator[ServiceMessage]:
        """The service's messages. Raises CallBroken when it closes with any code but 1000."""
        while True:
            try:
                message = json.loads(await self._socket.recv())
            except ConnectionClosed as closed:
                if self.close_code == _CLOSE_NORMAL:
                    return
                raise CallBroken("the stream broke", close_code=self.close_code) from closed
            if message["streamSid"] != STREAM_SID:
                raise CallBroken("a message for another stream")
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
                raise CallBroken(f"Twilio does not know {other}")

    async def send_audio(self, audio: bytes) -> None:
        """Send the caller's sound."""
        await self._send_event("media", {"track": "inbound", "payload": b64encode(audio).decode()})

    async def send_digit(self, digit: str) -> None:
        """Send a key press."""
        await self._send_event("dtmf", {"track": "inbound_track", "digit": digit})

    async def send_mark(self, name: str) -> None:
        """Report that the sound before a mark has been played or discarded."""
        self._marks.remove(name)
        await self._send_event("mark", {"name": name})

    async def send_cleared(self, played_samples: int) -> None:
        """Raises NotImplementedError: Twilio does not report it."""
        raise NotImplementedError("Twilio does not report what it has played")

    async def send_stop(self) -> None:
        """Report that the caller has hung up."""
        await self._send_event("stop", {"accountSid": "AC0", "callSid": CALL_SID})

    async def close(self) -> None:
        """Close the stream."""
        await self._socket.close()

    async def _send_event(self, event: str, content: dict[str, Any]) -> None:
        message = _message(event, content)
        with suppress(ConnectionClosed):
            if self._is_odd:
                await self._socket.send(json.dumps(_message("weather", {"sky": None})))
                message |= {"newlyInvented": [None], event: {**content, "newlyInvented": {"deep": [1e308]}}}
            await self._socket.send(json.dumps(message))


@asynccontextmanager
async def twilio_line(twiml: str, *, is_odd: bool = False) -> AsyncIterator[TwilioLine]:
    """Open and start the stream that the TwiML asks for."""
    url, parameters = stream_of(twiml)
    async with connect(url, compression=None, proxy=None, ping_interval=None) as socket:
        await socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        await socket.send(json.dumps(start(parameters, is_odd=is_odd)))
        yield TwilioLine(socket, parameters["call_id"], is_odd=is_odd)


def _message(event: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"event": event, "streamSid": STREAM_SID, event: content}
