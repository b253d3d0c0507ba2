"""``python -m app.cli.simulated_caller``: one call by a simulated caller. Only the service starts it.

It reads ``{"score", "call_id", "url", "sandbox"}`` from standard input, a line of JSON: the score's name, the address
of the call's websocket, and where the stand-ins take orders (null with real vendors). It writes ``{"type": "ready"}``
when the call has begun, and ``{"type": "failed", "reason"}`` if it did not go as the score says; its exit status is 1
then. With ``--list`` it writes ``{"scores": [{"name", "language", "about"}]}`` and calls nobody.
"""

import asyncio
import json
import sys
from typing import Any

from app.cli.caller_voice import recognisable_voice, sandbox_voice
from app.cli.simulated_call import list_scores
from app.clock import utc_now
from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, Ready
from sandbox.caller.media_client import CallFailed, MediaSession
from sandbox.caller.scores import SCORES


def main() -> int:
    """Hold the call, or list the scores. Returns the exit status."""
    if sys.argv[1:] == ["--list"]:
        return list_scores(as_json=True)
    try:
        asyncio.run(_call(json.loads(sys.stdin.readline())))
    except CallFailed as failure:
        _tell({"type": "failed", "reason": str(failure)})
        return 1
    return 0


async def _call(order: dict[str, Any]) -> None:
    """Raises CallFailed."""
    voice = sandbox_voice if order["sandbox"] is not None else recognisable_voice()
    if voice is None:
        raise CallFailed("the caller has no voice that can be recognised here: install espeak-ng")
    session = MediaSession(order["call_id"], order["url"], sandbox_url=order["sandbox"])
    score = SCORES[order["score"]].make(utc_now().date())
    async with Caller(order["url"], voice, on_event=_show) as caller:
        await caller.call_by(session, score)


def _show(event: CallerEvent) -> None:
    if isinstance(event, Ready):
        _tell({"type": "ready"})


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
