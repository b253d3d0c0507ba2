"""Runs ``python -m app.cli.simulated_caller``, which calls this service as a caller would, over its own websocket.

The program alone knows the sandbox. What it reads and writes is told there.
"""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.errors import SimulatedCallFailed
from app.settings import Settings, environment_without_settings

_PROGRAM = (sys.executable, "-m", "app.cli.simulated_caller")


@dataclass(frozen=True, slots=True)
class ScoreChoice:
    """What a simulated caller can do."""

    name: str
    language: str
    about: str


class SimulatedCallerProgram:
    """Each call is a process of its own."""

    def __init__(self, program: Sequence[str] = _PROGRAM) -> None:
        self._program = program
        self._scores: tuple[ScoreChoice, ...] | None = None

    async def scores(self) -> tuple[ScoreChoice, ...]:
        """What the caller can do; asked once. Raises SimulatedCallFailed."""
        if self._scores is None:
            process = await self._start("--list")
            answer, _ = await process.communicate()
            if process.returncode:
                raise SimulatedCallFailed(f"the simulated caller ended with status {process.returncode}")
            self._scores = tuple(ScoreChoice(**each) for each in json.loads(answer)["scores"])
        return self._scores

    async def call(self, order: Mapping[str, Any], on_ready: Callable[[], None]) -> None:
        """Hold a call to its end. Raises SimulatedCallFailed. A cancelled one hangs up by going away."""
        process = await self._start()
        reason = None
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")  # type: ignore[union-attr]  # it is a pipe
            async for line in process.stdout:  # type: ignore[union-attr]  # as above
                message = json.loads(line)
                if message["type"] == "ready":
                    on_ready()
                else:
                    reason = message["reason"]
            status = await process.wait()
        finally:
            await _end(process)
        if status:
            raise SimulatedCallFailed(reason or f"the simulated caller ended with status {status}")

    async def _start(self, *arguments: str) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._program,
                *arguments,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=environment_without_settings(),
                start_new_session=True,  # Ctrl-C is for the service, which lets its calls end
            )
        except OSError as error:
            raise SimulatedCallFailed(f"the simulated caller cannot be run: {error.strerror}") from error


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def sandbox_of(settings: Settings) -> str | None:
    """Where the stand-ins take orders; None with real vendors."""
    if settings.uses_live_vendors:
        return None
    address = urlsplit(settings.openai_base_url)
    return f"{address.scheme}://{address.netloc}"
