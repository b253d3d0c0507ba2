"""``voice-agent call``: a simulated caller calls a running service, and both sides are printed as they speak."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from app.cli.caller_voice import sandbox_voice
from app.settings import load_settings
from sandbox.caller.caller import Caller
from sandbox.caller.conversation import Conversation
from sandbox.caller.media_client import CallFailed
from sandbox.caller.score import Score


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What the command line says."""

    url: str | None
    agent: str | None
    variables: Mapping[str, str]
    score: Score
    sandbox: str | None


def call_command(options: CallOptions) -> int:
    """Hold the call. Returns the exit status: 0, or 1 when it did not go as the caller's score says."""
    settings = load_settings()
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    url = options.url or f"http://127.0.0.1:{settings.port}"
    conversation = Conversation(url, sys.stdout)
    try:
        asyncio.run(_call(options, url, key, conversation))
    except CallFailed as failure:
        conversation.fail(str(failure))
        return 1
    return 0


async def _call(options: CallOptions, url: str, key: str | None, conversation: Conversation) -> None:
    caller = Caller(url, sandbox_voice, sandbox_url=options.sandbox, api_key=key, on_event=conversation.show)
    async with caller:
        await caller.call(options.score, agent=options.agent, variables=dict(options.variables) or None)
