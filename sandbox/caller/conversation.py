"""``python -m sandbox.caller <service>`` calls a running service and shows the conversation."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import TextIO

from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, CallerSpeaks, Connected, Ended, Journaled
from sandbox.caller.media_client import CallFailed
from sandbox.caller.scores import demo
from sandbox.vendors.voice import synthesize


class Conversation:
    """Prints what both sides say, one line each, as it happens."""

    def __init__(self, service_url: str, out: TextIO) -> None:
        self._service_url, self._out = service_url.rstrip("/"), out

    def show(self, event: CallerEvent) -> None:
        """Take what the simulated caller reports."""
        match event:
            case Connected(call_id):
                self._print(f"{self._service_url}/#/calls/{call_id}")
            case CallerSpeaks(at, text):
                self._print(f"{at:6.2f} s  caller  {text}")
            case Journaled(at, {"type": "agent.clause_started", "data": {"text": text}}):
                self._print(f"{at:6.2f} s  agent   {text.strip()}")
            case Ended(at, by, reason):
                self._print(f"{at:6.2f} s  the {by} hung up: {reason}")
            case _:
                pass

    def fail(self, reason: str) -> None:
        """Print why the call did not go through."""
        self._print(f"The call failed: {reason}")

    def _print(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold one call. Returns the exit status: 0, or 1 when the call failed."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.caller", description="Call a running service.")
    parser.add_argument("service", help="address of the service, such as http://127.0.0.1:8000")
    parser.add_argument("--language", choices=("ru", "en"), default="ru", help="what the caller speaks")
    parser.add_argument("--sandbox", help="address of the sandbox behind the service; it is told the caller's words")
    parser.add_argument("--api-key", help="the service's API_KEY, if it has one")
    options = parser.parse_args(arguments)
    conversation = Conversation(options.service, sys.stdout)
    try:
        asyncio.run(_call(options, conversation))
    except CallFailed as failure:
        conversation.fail(str(failure))
        return 1
    return 0


async def _call(options: argparse.Namespace, conversation: Conversation) -> None:
    async with Caller(
        options.service, _speak, sandbox_url=options.sandbox, api_key=options.api_key, on_event=conversation.show
    ) as caller:
        await caller.call(demo(options.language))


def _speak(text: str, language: str, sample_rate: int) -> bytes:
    return synthesize(text, language, sample_rate).pcm
