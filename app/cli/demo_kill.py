"""``voice-agent demo --kill``: kills the process that holds the call, in the middle of a sentence of the agent."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.storage.calls import CallStore
from app.storage.database import Database
from sandbox.caller.events import CallerEvent, Connected, Journaled

_ANSWER = 2
"""The answer in which the process is killed."""
_INTO_SECONDS = 1.0
"""How long after the beginning of the answer."""


class MidSentenceKill:
    """Watches the call as it is shown. Create it in a running loop, and :meth:`stop` it after the call."""

    def __init__(self, database: str, log: Path, tell: Callable[[str], None]) -> None:
        """``log`` is that of the service; ``tell`` shows a line."""
        self._database, self._log, self._tell = database, log, tell
        self._call_id = ""
        self._answers = 0
        self._task: asyncio.Task[None] | None = None

    def watch(self, event: CallerEvent) -> None:
        """Take what happens in the call."""
        if isinstance(event, Connected):
            self._call_id = event.call_id
        if not isinstance(event, Journaled) or event.row["type"] != "agent.reply_started":
            return
        self._answers += event.row["data"]["kind"] == "reply"
        if self._answers == _ANSWER and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._kill(), name="demo.kill")

    async def stop(self) -> None:
        """Wait for the kill, if it was due."""
        if self._task is not None:
            await self._task

    async def _kill(self) -> None:
        await asyncio.sleep(_INTO_SECONDS)
        database = await Database.open(self._database)
        try:
            call = await CallStore(database).get(self._call_id)
        finally:
            await database.close()
        pid = self._pid_of(call.owner if call is not None else None)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._tell("kill -9 of the process that holds the call")

    def _pid_of(self, owner: str | None) -> int | None:
        """The process of the worker with that name, which the supervisor has logged."""
        pid: int | None = None
        for line in self._log.read_text(encoding="utf-8").splitlines():
            started: dict[str, Any] = {}
            with suppress(ValueError):
                started = json.loads(line)
            if started.get("event") == "worker.started" and f".worker{started['worker']}-" in (owner or ""):
                pid = int(started["pid"])
        return pid
