"""Shows a call of the simulated caller as it happens, for people or for programs."""

import json
from typing import Any, TextIO

from sandbox.caller.events import CallerEvent, CallerSpeaks, Connected, Ended, Journaled


class Conversation:
    """Writes what both sides say, one line each: for people or, with ``as_json``, as JSON objects.

    Objects: ``{"type": "connected", "call_id", "url"}``, ``{"type": "caller" or "agent", "at", "text"}``,
    ``{"type": "ended", "at", "by", "reason"}``, ``{"type": "failed", "reason"}``. Times are seconds since the answer.
    """

    def __init__(self, service_url: str, out: TextIO, *, as_json: bool = False) -> None:
        self._service_url, self._out, self._as_json = service_url.rstrip("/"), out, as_json

    def show(self, event: CallerEvent) -> None:
        """Take what the simulated caller reports."""
        match event:
            case Connected(call_id):
                url = f"{self._service_url}/#/calls/{call_id}"
                self._write(url, {"type": "connected", "call_id": call_id, "url": url})
            case CallerSpeaks(at, text):
                self._say("caller", at, text)
            case Journaled(at, {"type": "agent.clause_started", "data": {"text": text}}):
                self._say("agent", at, text.strip())
            case Ended(at, by, reason):
                ended = {"type": "ended", "at": round(at, 3), "by": by, "reason": reason}
                self._write(f"{at:6.2f} s  the {by} hung up: {reason}", ended)
            case _:
                pass

    def fail(self, reason: str) -> None:
        """Write why the call did not go as its score says."""
        self._write(f"The call failed: {reason}", {"type": "failed", "reason": reason})

    def _say(self, who: str, at: float, text: str) -> None:
        self._write(f"{at:6.2f} s  {who:6}  {text}", {"type": who, "at": round(at, 3), "text": text})

    def _write(self, line: str, told: dict[str, Any]) -> None:
        self._out.write(f"{json.dumps(told, ensure_ascii=False) if self._as_json else line}\n")
        self._out.flush()
