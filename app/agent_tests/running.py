"""Runs scenarios: holds a call of each, over text or over sound, and compares it with what is expected."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from app.agent_tests.expectations import Checked, check, spent_usd
from app.agent_tests.judge import Judge
from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.prepared import Prepared
from app.agent_tests.results import Attempt, ScenarioResult
from app.errors import ProviderError
from app.journal.record import call_record
from app.models import JournalRow
from app.ports.vendors import TextGenerator

_CALL_SECONDS = 300.0
"""How long one call may really take."""


class CallNotHeld(Exception):
    """The call of a scenario did not come to its end; the text says why."""


class Holder(Protocol):
    """Holds calls. Raises CallNotHeld, ProviderError, ValueError."""

    async def hold(self, prepared: Prepared) -> Sequence[JournalRow]:
        """Hold the call of a scenario, and return its journal."""


class ScenarioRunner:
    """Holds the calls of scenarios, and judges them."""

    def __init__(self, holder: Holder, generator: Callable[[str], TextGenerator], kept: KeptAnswers) -> None:
        """``generator`` returns the client of a model that judges."""
        self._holder = holder
        self._generator = generator
        self._kept = kept

    async def run(self, prepared: Prepared) -> Attempt:
        """Hold one call, and compare it with what is expected."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        rows: Sequence[JournalRow] = ()
        checks: tuple[Checked, ...] = ()
        problem = ""
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                rows = await self._holder.hold(prepared)
                judge = Judge(self._generator(prepared.judge_model), prepared.judge_model, self._kept)
                checks = tuple([await check(each, rows, judge) for each in prepared.scenario.expect])
        except* (CallNotHeld, ProviderError, ValueError, TimeoutError) as group:
            problem = _told(group)
        if problem:
            return Attempt((), loop.time() - began, problem=problem, rows=tuple(rows))
        turns = sum(turn.role == "user" for turn in call_record(rows).turns)
        return Attempt(checks, loop.time() - began, turns, spent_usd(rows), rows=tuple(rows))


async def run_all(
    prepared: Sequence[Prepared],
    runner: ScenarioRunner,
    *,
    repeat: int,
    parallel: int,
    on_attempt: Callable[[Prepared, Attempt], None] = lambda _prepared, _attempt: None,
) -> list[ScenarioResult]:
    """Run each scenario ``repeat`` times, so many at once. The results are in the order of the files."""
    places = asyncio.Semaphore(parallel)

    async def attempt(each: Prepared) -> Attempt:
        async with places:
            made = await runner.run(each)
        on_attempt(each, made)
        return made

    made = await asyncio.gather(*(attempt(each) for each in prepared for _ in range(repeat)))
    return [
        ScenarioResult(str(each.file.path), each.scenario.name, tuple(made[index * repeat : (index + 1) * repeat]))
        for index, each in enumerate(prepared)
    ]


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"the call took more than {_CALL_SECONDS:.0f} s"
    told = f"{error.provider}: {error.code}" if isinstance(error, ProviderError) else str(error)
    return f"the call could not be held: {told}"
