"""The agents of a service: a folder with one file for each agent. The files may change while calls run.

A file that is wrong at the start stops the start. A file that becomes wrong later is refused, and its agent stays as it
was. A live call keeps the agent that it began with.
"""

import asyncio
import os
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
from app.ports.vendors import LlmOptions, SttOptions, TtsOptions
from app.settings import Settings

log = structlog.get_logger(__name__)

_SUFFIXES = frozenset({".yaml", ".yml"})
_DEFAULT = "default"

Check = Callable[[AgentProfile], object]
Stamp = tuple[int, int, int]
"""What shows that a file has changed: its inode, its size, and the time of its last change."""


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

    stamps: Mapping[Path, Stamp]
    read: Mapping[Path, AgentProfile]
    """Agents of files that are new or changed."""
    wrong: Mapping[Path, list[str]]
    """Problems of the others among these files."""


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
        self._stamps: Mapping[Path, Stamp] = {}
        self._agents: Mapping[Path, AgentProfile] = {}
        self._refused: Mapping[Path, list[str]] = {}
        if looked := self._look():
            self._take(looked)
        self.current = self._gathered()
        """The agents now."""
        self.on_changed = Listeners[[AgentSet]]("agents.changed")
        if self.current.problems:
            raise SettingsError(list(self.current.problems))

    def __repr__(self) -> str:
        return f"<AgentDirectory {len(self.current.by_name)} agents>"

    def approve(self, check: Check) -> None:
        """Check every agent now, and each changed agent from now on. Raises SettingsError, as ``check`` does."""
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
        """One round: wait, then read the files that have changed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_seconds):
                await self._woken.wait()
        self._woken.clear()
        await self.reload()

    async def reload(self) -> None:
        """Read the files that have changed, in a thread. Raises SettingsError when the folder cannot be read."""
        looked = await asyncio.to_thread(self._look)
        if looked is None:
            return
        before = self.current
        self._take(looked)
        self.current = self._gathered()
        self.on_changed(self.current)
        for problem in self.current.problems:
            if problem not in before.problems:
                log.error("agent.not_read", problem=problem)
        log.info("agents.read", agents=sorted(self.current.by_name))

    def _look(self) -> _Looked | None:
        """Read what has changed; None if nothing has. Reads refused files again, too: another may now fit with them."""
        self._folder = self._folder or self._settings.agents_folder  # the default folder may appear later
        stamps = _stamps(self._folder)
        if stamps == self._stamps:
            return None
        read: dict[Path, AgentProfile] = {}
        wrong: dict[Path, list[str]] = {}
        for path, stamp in stamps.items():
            if self._stamps.get(path) != stamp or path in self._refused:
                try:
                    read[path] = agent_of_file(path, self._settings)
                except SettingsError as error:
                    wrong[path] = error.problems
        return _Looked(stamps, read, wrong)

    def _take(self, looked: _Looked) -> None:
        """Have the agents that were read in place of those before them, each unless something is wrong with it."""
        refused, fresh = dict(looked.wrong), dict(looked.read)
        for path, agent in looked.read.items():
            try:
                self._check(agent)
            except SettingsError as error:
                refused[path] = [f"agent {agent.name}: {problem}" for problem in error.problems]
                del fresh[path]
        kept = {path: agent for path, agent in self._agents.items() if path in looked.stamps and path not in fresh}
        while clash := _clash(kept, fresh):
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
            numbers=NumberTable({agent.name: agent.numbers for agent in by_name.values()}),
            problems=tuple(problem for path in sorted(self._refused) for problem in self._refused[path]),
        )


def _accept(_agent: AgentProfile) -> None:
    """Accept any agent, as long as nothing is known about the vendors."""


def _clash(kept: Mapping[Path, AgentProfile], fresh: Mapping[Path, AgentProfile]) -> tuple[Path, list[str]] | None:
    """The first fresh agent that claims a name or a number of another: who had it before keeps it."""
    files = {agent.name: path for path, agent in kept.items()}
    numbers = NumberTable({agent.name: agent.numbers for agent in kept.values()})
    for path, agent in sorted(fresh.items()):
        problems = [f"{path}: numbers: {clash}" for clash in numbers.clashes(agent.numbers)]
        if agent.name in files:
            problems.append(f"{path}: {files[agent.name].name} is a file of the agent {agent.name}, too; remove one")
        if problems:
            return path, problems
        files[agent.name] = path
        numbers.add(agent.name, agent.numbers)
    return None


def _stamps(folder: Path | None) -> dict[Path, Stamp]:
    """The agents' files in the folder, each with its stamp. Hidden files belong to other programs, and do not count."""
    if folder is None:
        return {}
    states: dict[Path, os.stat_result] = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file():
                with suppress(FileNotFoundError):  # removed just now
                    states[path] = path.stat()
    except OSError as error:
        raise SettingsError([f"AGENTS_DIR: {folder} cannot be read: {error.strerror}"]) from error
    return {path: (state.st_ino, state.st_size, state.st_mtime_ns) for path, state in states.items()}
