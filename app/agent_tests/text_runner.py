"""Runs the scenarios of tests as calls in text."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.agent_tests.expectations import Checked, check, spent_usd
from app.agent_tests.file import TestFile
from app.agent_tests.judge import Judge
from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.persona import PersonaCaller
from app.agent_tests.results import Attempt, ScenarioResult
from app.agent_tests.shape import ScenarioShape, Step, ToolAnswerShape
from app.calls.agent.profile import AgentProfile
from app.calls.text.caller import HangsUp, Interrupts, Noise, Presses, Says, Silent, TextCaller
from app.calls.text.outside import FixedAnswer, FixedTool, TextTelephony
from app.calls.text.script import ScriptedCaller
from app.calls.text.script import Step as ScriptStep
from app.errors import InvalidRequest, ProviderError, SettingsError
from app.journal.record import call_record
from app.models import JournalRow
from app.wiring_text import Agents, TextCalls, TextRequest

_CALL_SECONDS = 300.0
"""How long one call may really take."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario, and the agent that it tests."""

    file: TestFile
    scenario: ScenarioShape
    agent: AgentProfile

    @property
    def request(self) -> TextRequest:
        """The call."""
        scenario = self.scenario
        return TextRequest(
            self.agent, scenario.language, scenario.caller_number, variables=scenario.variables, now=scenario.now
        )


def prepare(files: Sequence[TestFile], agents: Agents) -> list[Prepared]:
    """The scenarios with their agents. Raises SettingsError for agents, variables or tools that do not exist."""
    prepared, problems = [], []
    for file in files:
        try:
            agent = agents.find(file.agent)
        except InvalidRequest as error:
            problems.append(f"{file.path}: {error}")
            continue
        for scenario in file.scenarios:
            ready = Prepared(file, scenario, agent)
            problems += [f"{file.path}: {scenario.name}: {problem}" for problem in _problems(ready)]
            prepared.append(ready)
    if problems:
        raise SettingsError(problems)
    return prepared


def _problems(prepared: Prepared) -> list[str]:
    problems = []
    try:
        prepared.request.check()
    except InvalidRequest as error:
        problems.append(str(error))
    agent, known = prepared.agent, ", ".join(sorted(prepared.agent.tool_names)) or "none"
    problems += [
        f"tools.{name}: the agent has no such tool; it has {known}"
        for name in prepared.scenario.tools
        if name not in agent.tool_names
    ]
    fields = {field.name for field in agent.outcome} | ({"success"} if agent.outcome else set())
    wanted = {name for each in prepared.scenario.expect for name in each.outcome or {}}
    problems += [f"expect: outcome: the agent's outcome has no field {name}" for name in sorted(wanted - fields)]
    return problems


class TextRunner:
    """Holds the calls of scenarios in text, and judges them."""

    def __init__(self, calls: TextCalls, kept: KeptAnswers, *, dry_tools: bool) -> None:
        """``dry_tools``: tools without a fixed answer are not called either."""
        self._calls = calls
        self._kept = kept
        self._dry_tools = dry_tools

    async def run(self, prepared: Prepared) -> Attempt:
        """Hold one call, and compare it with what is expected."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        rows: Sequence[JournalRow] = ()
        checks: tuple[Checked, ...] = ()
        problem = ""
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                rows = await self._hold(prepared)
                judge = self._judge(prepared)
                checks = tuple([await check(each, rows, judge) for each in prepared.scenario.expect])
        except* (ProviderError, ValueError, TimeoutError) as group:
            problem = _told(group)
        if problem:
            return Attempt((), loop.time() - began, problem=problem)
        record = call_record(rows)
        turns = sum(turn.role == "user" for turn in record.turns)
        return Attempt(checks, loop.time() - began, turns, spent_usd(rows))

    async def _hold(self, prepared: Prepared) -> Sequence[JournalRow]:
        scenario = prepared.scenario
        plan, call = self._calls.plan(prepared.request)
        fixed = {name: fixed_tool(name, answers) for name, answers in scenario.tools.items()}
        if self._dry_tools:
            fixed = {**{name: FixedTool(name) for name in prepared.agent.tool_names}, **fixed}
        telephony = TextTelephony(None if scenario.transfer == "answered" else scenario.transfer)
        caller = self._caller(prepared)
        return await self._calls.hold(plan, call, caller, endpoints=fixed, telephony=telephony)

    def _judge(self, prepared: Prepared) -> Judge:
        model = prepared.file.judge_model or prepared.agent.llm.model
        return Judge(self._calls.generator(model), model, self._kept)

    def _caller(self, prepared: Prepared) -> TextCaller:
        scenario = prepared.scenario
        caller = scenario.caller
        if caller.persona is not None:
            model = prepared.file.judge_model or prepared.agent.llm.model
            return PersonaCaller(
                caller.persona,
                self._calls.generator(model),
                model,
                self._kept,
                language=scenario.language,
                listens_seconds=caller.listens,
            )
        steps = [script_step(line, scenario.language) for line in caller.lines or ()]
        return ScriptedCaller(steps, listens_seconds=caller.listens)


async def run_all(
    prepared: Sequence[Prepared],
    run: Callable[[Prepared], Awaitable[Attempt]],
    *,
    repeat: int,
    parallel: int,
    on_attempt: Callable[[Prepared, Attempt], None] = lambda _prepared, _attempt: None,
) -> list[ScenarioResult]:
    """Run each scenario ``repeat`` times, so many at once. The results are in the order of the files."""
    places = asyncio.Semaphore(parallel)

    async def attempt(each: Prepared) -> Attempt:
        async with places:
            made = await run(each)
        on_attempt(each, made)
        return made

    made = await asyncio.gather(*(attempt(each) for each in prepared for _ in range(repeat)))
    return [
        ScenarioResult(str(each.file.path), each.scenario.name, tuple(made[index * repeat : (index + 1) * repeat]))
        for index, each in enumerate(prepared)
    ]


def script_step(line: str | Step, language: str | None) -> ScriptStep:
    """A line of a scenario as a step of its caller."""
    step: ScriptStep = HangsUp()
    match line:
        case str(text) | Step(say=str(text)):
            step = Says(text, language)
        case Step(over=str(text), after=after):
            step = Interrupts(text, after, language)
        case Step(noise=float(after)):
            step = Noise(after)
        case Step(silence=float(seconds)):
            step = Silent(seconds)
        case Step(press=str(digits)):
            step = Presses(digits)
        case _:
            pass
    return step


def fixed_tool(name: str, answers: ToolAnswerShape | list[ToolAnswerShape]) -> FixedTool:
    """The tool that gives these answers."""
    listed = answers if isinstance(answers, list) else [answers]
    return FixedTool(name, tuple(FixedAnswer(_text(each.answer), each.status, each.when) for each in listed))


def _text(answer: object) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, default=str)


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"the call took more than {_CALL_SECONDS:.0f} s"
    told = f"{error.provider}: {error.code}" if isinstance(error, ProviderError) else str(error)
    return f"the call could not be held: {told}"
