"""The agents of a service: a folder of files, one an agent, which may change while calls run.

A file that is wrong at the start stops it. A file that becomes wrong later is refused, and its agent stays as it was. A
live call keeps the agent that it began with.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.calls.agent.from_settings import agent_of_file, agent_profile
from app.calls.agent.numbers import NumberTable
from app.calls.agent.profile import AgentProfile
from app.errors import SettingsError
from app.observability.listeners import Listeners
from app.settings import Settings

log = structlog.get_logger(__name__)

_SUFFIXES = frozenset({".yaml", ".yml"})
_DEFAULT = "default"

Check = Callable[[AgentProfile], object]
Stamp = tuple[int, int, int]
"""Of a file: its inode, its size, and when it was changed."""


@dataclass(frozen=True, slots=True)
class AgentSet:
    """The agents at one moment."""

    by_name: Mapping[str, AgentProfile]
    default: AgentProfile
    """Answers where the request names no agent, and no agent claims the called number."""
    numbers: NumberTable
    problems: tuple[str, ...] = ()
    """What is wrong with the files that are refused. Their agents are as before."""

    def find(self, name: str | None, called: str | None) -> AgentProfile:
        """The agent of that name, else of that called number, else the default."""
        for chosen in (name, self.numbers.find(called)):
            if chosen is not None and chosen in self.by_name:
                return self.by_name[chosen]
        return self.default


class AgentDirectory:
    """Reads the agents, and reads a file again when it has changed. Raises SettingsError with every problem."""

    def __init__(self, settings: Settings, *, look_seconds: float = 2.0) -> None:
        """``look_seconds`` is the time between two looks at the files."""
        self._settings = settings
        self._folder = settings.agents_folder
        self._of_settings = agent_profile(settings)
        self._check: Check = _accept
        self._look_seconds = look_seconds
        self._woken = asyncio.Event()
        self._stamps: dict[Path, Stamp] = {}
        self._agents: dict[Path, AgentProfile] = {}
        self._refused: dict[Path, list[str]] = {}
        self._read()
        self.current = self._gathered()
        """The agents now."""
        self.on_changed = Listeners[[AgentSet]]("agents.changed")
        if self.current.problems:
            raise SettingsError(list(self.current.problems))

    def __repr__(self) -> str:
        return f"<AgentDirectory {len(self.current.by_name)} agents>"

    def approve(self, check: Check) -> None:
        """Check every agent, and from now on each that changes. ``check`` raises SettingsError, as this does."""
        self._check = check
        problems: list[str] = []
        for agent in self.current.by_name.values():
            try:
                check(agent)
            except SettingsError as error:
                problems += [f"agent {agent.name}: {problem}" for problem in error.problems]
        if problems:
            raise SettingsError(problems)

    def look_now(self) -> None:
        """Have :meth:`watch` look at the files now."""
        self._woken.set()

    async def watch(self) -> None:
        """A round: wait, and read what has changed meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_seconds):
                await self._woken.wait()
        self._woken.clear()
        await self.reload()

    async def reload(self) -> None:
        """Read the files that have changed, in a thread."""
        before, known = self.current, dict(self._agents)
        if not await asyncio.to_thread(self._read):
            return
        for path, agent in list(self._agents.items()):
            if agent is not known.get(path):
                self._approve_changed(path, agent, known.get(path))
        self.current = self._gathered()
        self.on_changed(self.current)
        for problem in self.current.problems:
            if problem not in before.problems:
                log.error("agent.not_read", problem=problem)
        log.info("agents.read", agents=sorted(self.current.by_name))

    def _approve_changed(self, path: Path, agent: AgentProfile, before: AgentProfile | None) -> None:
        try:
            self._check(agent)
        except SettingsError as error:
            self._refused[path] = [f"agent {agent.name}: {problem}" for problem in error.problems]
            if before is None:
                del self._agents[path]
            else:
                self._agents[path] = before

    def _read(self) -> bool:
        """Read the files that are new or changed. Returns whether there was any change."""
        stamps = _stamps(self._folder)
        if stamps == self._stamps:
            return False
        changed = {path for path, stamp in stamps.items() if self._stamps.get(path) != stamp}
        self._stamps = stamps
        before, self._agents = self._agents, {}
        self._refused = {path: problems for path, problems in self._refused.items() if path in stamps}
        for path in sorted(stamps, key=lambda path: (path in changed, path)):  # who had a number before keeps it
            agent = (self._read_file(path) if path in changed else None) or before.get(path)
            if agent is not None:
                self._agents[path] = agent
        return True

    def _read_file(self, path: Path) -> AgentProfile | None:
        """The agent of the file. None if it is refused."""
        self._refused.pop(path, None)
        try:
            agent = agent_of_file(path, self._settings)
        except SettingsError as error:
            self._refused[path] = error.problems
            return None
        others = NumberTable({other.name: other.numbers for other in self._agents.values()})
        if clashes := [f"{path}: numbers: {clash}" for clash in others.clashes(agent.numbers)]:
            self._refused[path] = clashes
            return None
        return agent

    def _gathered(self) -> AgentSet:
        by_name = {agent.name: agent for agent in self._agents.values()}
        default = by_name.get(_DEFAULT, self._of_settings)
        return AgentSet(
            by_name={default.name: default, **by_name},
            default=default,
            numbers=NumberTable({agent.name: agent.numbers for agent in by_name.values()}),
            problems=tuple(problem for path in sorted(self._refused) for problem in self._refused[path]),
        )


def _accept(_agent: AgentProfile) -> None:
    """Nothing is known of vendors yet."""


def _stamps(folder: Path | None) -> dict[Path, Stamp]:
    """The files of agents in the folder."""
    if folder is None:
        return {}
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
        states = [(path, path.stat()) for path in found]
    except OSError as error:
        raise SettingsError([f"AGENTS_DIR: {folder} cannot be read: {error.strerror}"]) from error
    return {path: (state.st_ino, state.st_size, state.st_mtime_ns) for path, state in states}
