"""What a caller's line may do wrong, by name: ``python -m sandbox.caller.faults <kind> <service>`` makes such a call.

A line with a fault is a :class:`sandbox.caller.line.Line` like any other; it spoils what goes out.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from sandbox.caller.caller import Caller, Speak
from sandbox.caller.line import Line
from sandbox.caller.media_client import (
    AgentAudio,
    CallBroken,
    CallFailed,
    MediaClient,
    ServiceMessage,
    media_socket,
    open_session,
)
from sandbox.caller.media_format import MediaFormat
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score, hangs_up, holds, presses, says, waits, waits_for_agent
from sandbox.caller.twilio_line import TELEPHONE as TWILIO
from sandbox.caller.twilio_line import twilio_line
from sandbox.carrier.telephone import Telephone
from sandbox.vendors.voice import synthesize

NAMED: Final[dict[str, str]] = {
    "stray_byte": "One byte too many comes with a frame of 16-bit sound, once a second.",
    "cut_samples": "Every frame of 16-bit sound ends in the middle of a sample, which goes on in the next frame.",
    "key_bounce": "Every key comes twice, 20 ms apart.",
    "reset": "The websocket is gone without a close while the agent speaks.",
    "hold": "No sound comes for 20 s, and then it goes on.",
    "gone": "No sound comes any more, and the websocket stays open.",
    "wrong_encoding": "16-bit sound at 16 kHz comes where μ-law was announced.",
    "odd_twilio_fields": "Over Twilio's protocol: numbers are strings, keys and events come that nobody knows.",
}
"""Kind to what happens."""

_HELD_SECONDS = 20.0
_GONE_SECONDS = 90.0
"""Longer than any service waits for audio."""
_BOUNCE_SECONDS = 0.02
_FRAMES_A_SECOND = 50
_SPEAKS_BEFORE_RESET = 5
"""How many pieces of the agent's sound arrive before the reset."""


class FaultyLine:
    """A line of the native protocol with a fault."""

    def __init__(self, line: MediaClient, kind: str) -> None:
        self._line, self._kind = line, kind
        self._frames = self._pieces_heard = 0
        self._rest = b""
        self._is_reset = False

    @property
    def call_id(self) -> str:
        """The service's id of the call."""
        return self._line.call_id

    @property
    def ready_at(self) -> float:
        """The loop's clock when sound began to flow."""
        return self._line.ready_at

    @property
    def close_code(self) -> int | None:
        """The websocket's close code, once it is closed."""
        return self._line.close_code

    async def messages(self) -> AsyncIterator[ServiceMessage]:
        """The service's messages. Raises CallBroken when the end was not announced, except after a reset."""
        try:
            async for message in self._line.messages():
                yield message
                if isinstance(message, AgentAudio) and self._kind == "reset":
                    self._pieces_heard += 1
                    if self._pieces_heard == _SPEAKS_BEFORE_RESET:
                        self._is_reset = True
                        self._line.reset()
        except CallBroken:
            if not self._is_reset:
                raise

    async def send_audio(self, audio: bytes) -> None:
        """Send sound, spoiled."""
        self._frames += 1
        await self._line.send_audio(self._spoiled(audio))

    def _spoiled(self, audio: bytes) -> bytes:
        match self._kind:
            case "stray_byte" if self._frames % _FRAMES_A_SECOND == 0:
                return audio + b"\x5a"
            case "cut_samples":
                whole = self._rest + audio
                end = len(whole) - (1 if self._frames % 2 else 0)
                self._rest = whole[end:]
                return whole[:end]
            case "wrong_encoding":
                return self._line.format.decode(audio).repeat(2).astype("<i2").tobytes()
            case _:
                return audio

    async def send_digit(self, digit: str) -> None:
        """Press a key."""
        await self._line.send_digit(digit)
        if self._kind == "key_bounce":
            await asyncio.sleep(_BOUNCE_SECONDS)
            await self._line.send_digit(digit)

    async def send_mark(self, name: str) -> None:
        """Report that the sound before a mark has been played."""
        await self._line.send_mark(name)

    async def send_cleared(self, played_samples: int) -> None:
        """Report how much had been played when the rest was discarded."""
        await self._line.send_cleared(played_samples)

    async def send_stop(self) -> None:
        """Hang up."""
        await self._line.send_stop()

    async def close(self) -> None:
        """Close the line at once."""
        await self._line.close()


async def faulty_call(
    kind: str, service_url: str, speak: Speak, *, sandbox_url: str | None = None, api_key: str | None = None
) -> CallReport:
    """Make a call with a fault. Raises CallFailed, with its report, when the service gives the caller up."""
    telephone = _telephone(kind)
    async with Caller(service_url, speak, sandbox_url=sandbox_url, api_key=api_key, telephone=telephone) as caller:
        return await caller.call_through(_score(kind), lambda: _line(kind, service_url, telephone, api_key))


def _telephone(kind: str) -> Telephone:
    if kind == "odd_twilio_fields":
        return TWILIO
    if kind == "wrong_encoding":
        return Telephone(MediaFormat("mulaw", 8000))
    return Telephone(MediaFormat("pcm_s16le", 8000), noise_dbfs=-60.0)


def _score(kind: str) -> Score:
    steps: list[Any] = [waits_for_agent(0.3), says("Здравствуйте, вы меня слышите?"), waits_for_agent(0.3)]
    if kind in ("hold", "gone"):
        steps += [holds(_HELD_SECONDS if kind == "hold" else _GONE_SECONDS), waits(1.0)]
    if kind in ("key_bounce", "odd_twilio_fields"):
        steps += [presses("5#"), waits_for_agent(0.3)]
    steps.append(hangs_up())
    return Score(kind, "ru", tuple(steps), patience=_HELD_SECONDS + 10)


@asynccontextmanager
async def _line(kind: str, service_url: str, telephone: Telephone, api_key: str | None) -> AsyncIterator[Line]:
    async with httpx.AsyncClient(timeout=10.0, trust_env=False) as http:
        session = await open_session(http, service_url, {}, api_key)
    if kind == "odd_twilio_fields":
        async with twilio_line(session.twiml, is_odd=True) as line:
            yield line
    else:
        async with media_socket(session, telephone.format, events=True) as client:
            yield FaultyLine(client, kind)


def _speak(text: str, language: str, sample_rate: int) -> bytes:
    return synthesize(text, language, sample_rate, 1.0).pcm


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one call and print, as a line of JSON, how it ended; exit status 0."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.caller.faults", description="Make a call whose line has a fault."
    )
    parser.add_argument("kind", choices=NAMED)
    parser.add_argument("service", help="address of the service, such as http://127.0.0.1:8000")
    parser.add_argument("--sandbox", help="address of the sandbox behind it, which is told what the caller says")
    parser.add_argument("--api-key")
    options = parser.parse_args(arguments)
    call = faulty_call(options.kind, options.service, _speak, sandbox_url=options.sandbox, api_key=options.api_key)
    report: CallReport | None
    failure: str | None = None
    try:
        report = asyncio.run(call)
    except CallFailed as failed:
        report, failure = failed.report, str(failed)
    outcome = {"kind": options.kind, "happens": NAMED[options.kind], "failure": failure}
    if report is not None:
        outcome |= {"call_id": report.call_id, "ended_by": report.ended_by, "end_reason": report.end_reason}
    sys.stdout.write(json.dumps(outcome, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
