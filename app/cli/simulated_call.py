"""``voice-agent call``: a simulated caller calls a running service, and both sides are printed as they speak."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from app.cli.caller_voice import recognisable_voice, sandbox_voice
from app.settings import Settings
from sandbox.caller.caller import Caller
from sandbox.caller.conversation import Conversation
from sandbox.caller.media_client import CallFailed
from sandbox.caller.score import Score
from sandbox.caller.scores import SCORES

_TONES = "Without eSpeak NG the caller's words are tones, which only a sandbox understands: install espeak-ng.\n"


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What the command line says."""

    url: str | None
    agent: str | None
    variables: Mapping[str, str]
    score: Score
    sandbox: str | None
    as_json: bool = False


def list_scores(*, as_json: bool) -> int:
    """Print the scores that can be called with. Returns the exit status."""
    if as_json:
        named = [{"name": each.name, "language": each.language, "about": each.about} for each in SCORES.values()]
        sys.stdout.write(json.dumps({"scores": named}) + "\n")
    else:
        sys.stdout.writelines(f"{each.name:12}  {each.about}\n" for each in SCORES.values())
    return 0


def call_command(settings: Settings, options: CallOptions) -> int:
    """Hold the call. Returns the exit status: 0, or 1 when it did not go as the caller's score says."""
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    url = options.url or f"http://127.0.0.1:{settings.port}"
    conversation = Conversation(url, sys.stdout, as_json=options.as_json)
    try:
        asyncio.run(_call(options, url, key, conversation))
    except CallFailed as failure:
        conversation.fail(str(failure))
        return 1
    return 0


async def _call(options: CallOptions, url: str, key: str | None, conversation: Conversation) -> None:
    voice = sandbox_voice if options.sandbox else recognisable_voice()
    if voice is None:
        sys.stderr.write(_TONES)
        voice = sandbox_voice
    async with Caller(url, voice, sandbox_url=options.sandbox, api_key=key, on_event=conversation.show) as caller:
        metadata, variables = {"score": options.score.name}, dict(options.variables) or None
        await caller.call(options.score, metadata=metadata, agent=options.agent, variables=variables, is_synthetic=True)
