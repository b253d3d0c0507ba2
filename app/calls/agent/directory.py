"""The agents of a service: a folder with one file for each agent. The files may change while calls run.

A file that is wrong at the start stops the start. A file that becomes wrong later is refused, and its agent stays as it
was, also when a worker has to start again meanwhile. A live call keeps the agent that it began with.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.calls.agent.file_stamps import Stamps, file_stamps
from app.calls.agent.from_settings import agent_of_file, agent_profile
from app.calls.agent.kept_files import KeptFiles
from app.calls.agent.numbers import NumberTable, clashes
from app.calls.agent.profile import AgentProfile
from app.errors import SettingsError
from app.observability.listeners import Listeners
from app.ports.vendors import LlmOptions, SttOptions, TtsOptions
from app.settings import Settings

log = structlog.get_logger(__name__)

_DEFAULT = "default"

Check = Callable[[AgentProfile], object]


@dataclass(frozen=True, slots=True)
class AgentSet:
    """The agents at one moment."""

    by_name: Mapping[str, AgentProfile]
    default: AgentProfile
    """The agent that answers when the request names none and no agent claims the called number."""
    numbers: NumberTable
    problems: tuple[str, ...] = ()
    """What is wrong with the refused files. Their agents are as before."""

    @property
    def vendor_options(self) -> frozenset[SttOptions | LlmOptions | TtsOptions]:
        """What the agents ask of their vendors."""
        return frozenset(option for agent in self.by_name.values() for option in (agent.stt, agent.llm, agent.tts))

    def find(self, name: str | None, called: str | None) -> AgentProfile:
        """The agent with that name, else the one that claims the called number, else the default."""
        for chosen in (name, self.numbers.find(called)):
            if chosen is not None and chosen in self.by_name:
                return self.by_name[chosen]
        return self.default


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a look at the files has found."""

    stamps: Mapping[Path, Stamps]
    read: Mapping[Path, AgentProfile]
    """Agents of files that are new or changed."""
    wrong: Mapping[Path, list[str]]
    """Problems of the others among these files."""


class AgentDirectory:
    """Reads the agents, and reads a file again when it has changed. Raises SettingsError with every problem."""

    def __init__(
        self,
        settings: Settings,
        *,
        look_seconds: float = 2.0,
        kept: KeptFiles | None = None,
        is_checked: bool = False,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """``look_seconds`` is the time between two looks at the files. ``kept`` has their copies.

        ``is_checked``: whether the files were checked before this process started, so that a wrong one was good then.
        ``more`` has values for ``${NAME}`` in the files that the environment lacks.
        """
        self._more = more or {}
        self._settings = settings
        self._folder = settings.agents_folder
        self._kept = kept
        self._is_checked = is_checked
        self._settings_problems: list[str] = []
        self._of_settings = self._read_settings()
        self._check: Check = _accept
        self._look_seconds = look_seconds
        self._woken = asyncio.Event()
        self._stamps: Mapping[Path, Stamps] = {}
        self._agents: dict[Path, AgentProfile] = {}
        self._refused: Mapping[Path, list[str]] = {}
        if looked := self._look():
            self._take(looked)
        if self._refused:
            self._do_without(self._refused)
        self.current = self._gathered()
        """The agents now."""
        self.on_changed = Listeners[[AgentSet]]("agents.changed")

    def __repr__(self) -> str:
        return f"<AgentDirectory {len(self.current.by_name)} agents>"

    def approve(self, check: Check) -> None:
        """Check every agent now, and each changed agent from now on. Raises SettingsError, as ``check`` does."""
        self._check = check
        refused: dict[Path, list[str]] = {}
        for path, agent in self._agents.items():
            if problems := _problems(check, agent):
                refused[path] = problems
        if self.current.default is self._of_settings and (problems := _problems(check, self._of_settings)):
            raise SettingsError([*problems, *(problem for each in refused.values() for problem in each)])
        if refused:
            self._do_without(refused)
            self.current = self._gathered()
        for problem in self.current.problems:
            log.error("agent.not_read", problem=problem)
        self._keep()

    def read_anew(self) -> None:
        """Have :meth:`watch` read every file now, changed or not: a variable of the environment may have changed."""
        self._woken.set()

    async def watch(self) -> None:
        """One round: wait, then read the files that have changed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_seconds):
                await self._woken.wait()
        is_woken = self._woken.is_set()
        self._woken.clear()
        await self.reload(anew=is_woken)

    async def reload(self, *, anew: bool = False) -> None:
        """Read the files that have changed, or with ``anew`` all of them, in a thread.

        Raises SettingsError when the folder cannot be read.
        """
        looked = await asyncio.to_thread(self._look, anew=anew)
        if looked is None:
            return
        before = self.current
        self._take(looked)
        self.current = self._gathered()
        self.on_changed(self.current)
        for problem in self.current.problems:
            if problem not in before.problems:
                log.error("agent.not_read", problem=problem)
        await asyncio.to_thread(self._keep)
        log.info("agents.read", agents=sorted(self.current.by_name))

    def _look(self, *, anew: bool = False) -> _Looked | None:
        """Read what has changed; None if nothing has. Reads refused files again, too: another may now fit with them.

        With ``anew``, reads everything.
        """
        self._folder = self._folder or self._settings.agents_folder  # the default folder may appear later
        stamps = file_stamps(self._folder, self._stamps)
        if stamps == self._stamps and not anew:
            return None
        read: dict[Path, AgentProfile] = {}
        wrong: dict[Path, list[str]] = {}
        for path, stamp in stamps.items():
            if anew or self._stamps.get(path) != stamp or path in self._refused:
                try:
                    read[path] = agent_of_file(path, self._settings, self._more)
                except SettingsError as error:
                    wrong[path] = error.problems
        self._table({**self._agents, **read}.values())  # each number takes 40 µs the first time, here in the thread
        return _Looked(stamps, read, wrong)

    def _take(self, looked: _Looked) -> None:
        """Have the agents that were read in place of those before them, each unless something is wrong with it."""
        refused, fresh = dict(looked.wrong), dict(looked.read)
        for path, agent in looked.read.items():
            if problems := _problems(self._check, agent):
                refused[path] = problems
                del fresh[path]
        kept = {path: agent for path, agent in self._agents.items() if path in looked.stamps and path not in fresh}
        while clash := self._clash(kept, fresh):
            path, refused[path] = clash
            del fresh[path]
            if path in self._agents:
                kept[path] = self._agents[path]
        self._stamps, self._agents, self._refused = looked.stamps, {**kept, **fresh}, refused

    def _gathered(self) -> AgentSet:
        by_name = {agent.name: agent for agent in self._agents.values()}
        default = by_name.get(_DEFAULT, self._of_settings)
        return AgentSet(
            by_name={default.name: default, **by_name},
            default=default,
            numbers=self._table(by_name.values()),
            problems=(
                *self._settings_problems,
                *(problem for path in sorted(self._refused) for problem in self._refused[path]),
            ),
        )

    def _table(self, agents: Iterable[AgentProfile]) -> NumberTable:
        return NumberTable({agent.name: agent.numbers for agent in agents}, self._settings.sip_number)

    def _read_settings(self) -> AgentProfile:
        """The agent of the settings, or of the copy of its file."""
        try:
            return agent_profile(self._settings)
        except SettingsError as error:
            path = self._settings.agent_prompt_file
            copy = self._kept.find(path) if self._is_checked and self._kept is not None and path is not None else None
            if copy is None:
                raise
            self._settings_problems = error.problems
            return agent_profile(self._settings.model_copy(update={"agent_prompt_file": copy}))

    def _do_without(self, refused: Mapping[Path, list[str]]) -> None:
        """Have the copies of refused files instead. Raises SettingsError at a first start, or without the default."""
        self._refused = {**self._refused, **refused}
        self._agents = {path: agent for path, agent in self._agents.items() if path not in refused}
        if self._is_checked:
            for path in refused:
                agent = self._copy_of(path)
                if agent is not None and self._clash(self._agents, {path: agent}) is None:
                    self._agents[path] = agent
        is_lost = any(path.stem == _DEFAULT and path not in self._agents for path in refused)
        if is_lost or not self._is_checked:
            raise SettingsError(list(self._gathered().problems))

    def _clash(
        self, kept: Mapping[Path, AgentProfile], fresh: Mapping[Path, AgentProfile]
    ) -> tuple[Path, list[str]] | None:
        """The first fresh agent that claims a name or a number of another: who had it before keeps it."""
        both = {**kept, **dict(sorted(fresh.items()))}
        files: dict[str, Path] = {}
        problems: dict[Path, list[str]] = {}
        for path, agent in both.items():
            if (first := files.setdefault(agent.name, path)) != path:
                problems[path] = [f"{path}: {first.name} is a file of the agent {agent.name}, too; remove one"]
        claims = {str(path): agent.numbers for path, agent in both.items()}
        for claimed, number, before, number_before in clashes(claims, self._settings.sip_number):
            agent, other = both[Path(claimed)], both[Path(before)]
            problem = f"{agent.numbers[number]} is a number of the agent {other.name}, too"
            places = f"{agent.number_places[number]}: {problem} ({other.number_places[number_before]})"
            problems.setdefault(Path(claimed), []).append(places)
        return next(((path, problems[path]) for path in sorted(fresh) if path in problems), None)

    def _copy_of(self, path: Path) -> AgentProfile | None:
        copy = None if self._kept is None else self._kept.find(path)
        if copy is None:
            return None
        with suppress(SettingsError):
            agent = agent_of_file(copy, self._settings, self._more)
            return None if _problems(self._check, agent) else agent
        return None

    def _keep(self) -> None:
        """Copy the files of all agents that are as their files say."""
        if self._kept is not None:
            good = [(path, agent) for path, agent in self._agents.items() if path not in self._refused]
            if self._settings.agent_prompt_file is not None and not self._settings_problems:
                good.append((self._settings.agent_prompt_file, self._of_settings))
            self._kept.keep([(path, {path.name: agent.file_sha256, **_knowledge(agent)}) for path, agent in good])


def _knowledge(agent: AgentProfile) -> dict[str, str]:
    """Names and hashes of the files of its knowledge."""
    return dict(agent.knowledge.files) if agent.knowledge is not None else {}


def _accept(_agent: AgentProfile) -> None:
    """Accept any agent, as long as nothing is known about the vendors."""


def _problems(check: Check, agent: AgentProfile) -> list[str]:
    """What the check finds wrong with that agent."""
    try:
        check(agent)
    except SettingsError as error:
        return [f"agent {agent.name}: {problem}" for problem in error.problems]
    return []
