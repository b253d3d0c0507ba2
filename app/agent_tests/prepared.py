"""Scenarios with the agents that they test, checked before any call is held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.agent_tests.changes import NO_CHANGES, Changes
from app.agent_tests.file import Place, TestFile
from app.agent_tests.shape import ScenarioShape
from app.calls.agent.lookup import LOOKUP
from app.calls.agent.mcp import may_offer
from app.calls.agent.profile import AgentProfile
from app.calls.agent.tools import DO_NOT_CALL
from app.errors import InvalidRequest, SettingsError
from app.wiring_text import Agents, TextRequest


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

    @property
    def language(self) -> str:
        """The language in which the caller begins."""
        return self.scenario.language or self.agent.language

    @property
    def judge_model(self) -> str:
        """The model that judges the call, and plays a persona."""
        return self.file.judge_model or self.agent.llm.model


def prepare(files: Sequence[TestFile], agents: Agents, changes: Changes = NO_CHANGES) -> list[Prepared]:
    """The scenarios with their agents, which have these changes.

    Raises SettingsError, with the line of each agent, variable, tool or field that does not exist.
    """
    prepared, problems = [], []
    for file in files:
        try:
            agent = changes.applied(agents.find(file.agent, file.environment))
        except InvalidRequest as error:
            problems.append(file.problem(("agent",), str(error)))
            continue
        for index, scenario in enumerate(file.scenarios):
            ready = Prepared(file, scenario, agent)
            problems += [file.problem(place, problem) for place, problem in _problems(ready, index)]
            prepared.append(ready)
    if problems:
        raise SettingsError(problems)
    return prepared


def _problems(prepared: Prepared, index: int) -> Iterator[tuple[Place, str]]:
    here: Place = ("scenarios", index)
    agent, file = prepared.agent, prepared.file
    try:
        prepared.request.check()
    except InvalidRequest as error:
        yield (*here, "variables"), str(error)
    for name in prepared.scenario.tools:
        if not _may_have(agent, name):
            place: Place = (*here, "tools", name)
            known = ", ".join(sorted(agent.tool_names)) or "none"
            yield place if file.has(place) else ("tools", name), f"the agent has no such tool; it has {known}"
    fields = {field.name for field in agent.outcome} | ({"success"} if agent.outcome else set())
    for number, expected in enumerate(prepared.scenario.expect):
        for name in sorted(set(expected.outcome or ()) - fields):
            yield (*here, "expect", number, "outcome", name), f"the agent's outcome has no field {name}"
    for number, line in enumerate(prepared.scenario.caller.lines or ()):
        path = None if isinstance(line, str) else file.sound(line)
        if path is not None and not path.is_file():
            yield (*here, "caller", "lines", number, "sound"), f"there is no file {path}"


def _may_have(agent: AgentProfile, name: str) -> bool:
    """Whether the agent has that tool, or may have it from one of its servers, whose lists are not known yet."""
    own = {*agent.tool_names, DO_NOT_CALL, *([LOOKUP] if agent.lookup is not None else [])}
    return name in own or any(may_offer(each.endpoint.name, each.allowed, name) for each in agent.mcp_servers)
