"""Holds the calls: many at once, each by a caller of its own."""

import asyncio
from collections.abc import Iterable

from bench.pinned import AUTHORIZED
from bench.talk.scenes import Scene
from bench.talk.scoring import Row, Take
from bench.talk.voice import speak
from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, Journaled
from sandbox.caller.media_client import CallFailed

_LONGEST_CALL_SECONDS = 90.0
_BETWEEN_STARTS_SECONDS = 0.15
_API_KEY = AUTHORIZED["Authorization"].removeprefix("Bearer ")


class Calls:
    """The calls of one run, and how late their frames were."""

    def __init__(self, service_url: str, sandbox_url: str) -> None:
        self._service_url, self._sandbox_url = service_url, sandbox_url
        self.late_p99: list[float] = []
        """For each call, the delay of its frames in seconds (p99)."""
        self.call_ids: dict[str, str] = {}
        """The ids of the calls, by the name of the scene."""

    async def hold(self, scenes: Iterable[Scene], at_once: int) -> list[Take]:
        """Hold all calls, that many at once."""
        free = asyncio.Semaphore(at_once)
        pace = asyncio.Lock()

        async def one(scene: Scene) -> Take:
            async with free:
                async with pace:
                    await asyncio.sleep(_BETWEEN_STARTS_SECONDS)
                return await self._hold(scene)

        async with asyncio.TaskGroup() as tasks:
            held = [tasks.create_task(one(scene), name=scene.name) for scene in scenes]
        return [task.result() for task in held]

    async def _hold(self, scene: Scene) -> Take:
        rows: list[Row] = []

        def note(event: CallerEvent) -> None:
            if isinstance(event, Journaled):
                rows.append(Row(event.at, event.row["type"], event.row["data"], event.row["turn"]))

        caller = Caller(
            self._service_url,
            speak,
            sandbox_url=self._sandbox_url,
            sandbox_listens=True,
            api_key=_API_KEY,
            telephone=scene.telephone,
            on_event=note,
            longest_call_seconds=_LONGEST_CALL_SECONDS,
        )
        failure = ""
        async with caller:
            try:
                report = await caller.call(scene.score)
            except CallFailed as failed:
                failure = str(failed)
                if failed.report is None:
                    return Take(scene.kind, scene.name, (), (), tuple(rows), 0.0, failure)
                report = failed.report
        self.late_p99.append(report.lateness.p99)
        self.call_ids[scene.name] = report.call_id
        return Take(
            scene.kind, scene.name, report.utterances, report.agent_spans, tuple(rows), report.ended_at, failure
        )
