"""Runs the tools of one call. The core learns what the model calls, and says when to run it."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from app.calls.agent.tools import AgentTool, BadArguments, Toolbox, ToolEndpoint
from app.calls.live.call_clock import CallClock
from app.calls.live.playback import PlaybackItem
from app.contained_tasks import ContainedTasks
from app.conversation import events as ev
from app.errors import ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable
from app.ports.streams import ToolCall

log = structlog.get_logger(__name__)

_TOKEN = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HONEST = "Tell the caller so honestly, and never claim that it worked."
_NO_EFFECT = "GET"
"""The method of tools that change nothing, so that they may be cancelled half way."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The outcome of a tool."""

    ok: bool
    status: int | None
    text: str
    """The text for the model."""


_GIVEN_UP = _Outcome(False, None, json.dumps({"error": "given_up", "message": "The caller went on before."}))


@dataclass(slots=True, eq=False)
class RequestedTool:
    """A tool that the model has called, until the tool has finished."""

    call: ToolCall
    turn: int
    speech: int
    tool: AgentTool
    result: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    task: asyncio.Task[None] | None = None
    given_up: bool = False


class ToolRuns:
    """Runs the agent's own tools. The core carries out the built-in ones.

    Each run is a task, ``<call id>:tool:<id>``. A tool that may change something is called when its row is committed,
    so that the record knows of it even if this process dies meanwhile. When nothing waits for its result any more, a
    tool that changes nothing is cancelled. Any other runs on until it has finished or its deadline has passed, and its
    outcome is an event. The call does not wait for it: an outcome that comes after the last row is only logged.
    """

    def __init__(
        self,
        *,
        call_id: str,
        toolbox: Toolbox,
        endpoints: Mapping[str, ToolEndpoint],
        background: ContainedTasks,
        clock: CallClock,
        commit: Callable[[], Awaitable[object]],
        emit: Callable[[ev.Event], None],
        fail: Callable[[Exception], None],
        earlier: Iterable[ev.Event] = (),
    ) -> None:
        """``earlier`` are the events of this call in other processes.

        ``commit`` commits the rows so far, or gives up after a short time. Raises OwnershipLost.

        ``fail`` ends the call when there is a bug.
        """
        self._call_id = call_id
        self.toolbox = toolbox
        self._endpoints = endpoints
        self._background = background
        self._clock = clock
        self._commit = commit
        self._emit = emit
        self._fail = fail
        self._is_over = False
        self._requested: dict[str, RequestedTool] = {}
        """Tools that the core knows of and has not run yet, by id."""
        self._running: dict[asyncio.Task[None], RequestedTool] = {}
        self._ids: set[str] = set()
        self._called: set[tuple[int, str]] = set()
        """Turn and name of the tools that ran in other processes."""
        for event in earlier:
            if isinstance(event, ev.AgentToolCalled):
                self._ids.add(event.id)
                if not event.refused:
                    self._called.add((event.turn, event.name))

    def __repr__(self) -> str:
        return f"<ToolRuns {len(self._running)} running>"

    def named(self, call: ToolCall) -> ToolCall:
        """The call with an id that is unique in this call. Some servers repeat their ids."""
        wished = call.id if _TOKEN.fullmatch(call.id) else "tool"
        unique, number = wished, 1
        while unique in self._ids:
            number += 1
            unique = f"{wished}-{number}"
        self._ids.add(unique)
        return replace(call, id=unique)

    def check(self, call: ToolCall, turn: int) -> AgentTool:
        """Find the called tool. Raises BadArguments when there is none, or when the arguments do not fit.

        It also does when the tool may change something, and a process that has died ran it for the same turn.
        """
        tool = self.toolbox.find(call.name)
        if tool is None:
            raise BadArguments("there is no such tool")
        tool.read(call.arguments)
        if tool.endpoint.method != _NO_EFFECT and (turn, call.name) in self._called:
            raise BadArguments("it was called for this turn before the service was interrupted; see its result above")
        return tool

    def request(self, item: PlaybackItem, call: ToolCall, tool: AgentTool, line: str | None) -> RequestedTool:
        """Report the call to the core, which starts it. The core says ``line`` if the tool takes long."""
        wanted = RequestedTool(call, item.turn, item.number, tool)
        self._requested[call.id] = wanted
        seconds = tool.endpoint.timeout_seconds
        self._emit(
            ev.AgentToolCalled(
                item.turn,
                item.number,
                call.id,
                call.name,
                call.arguments,
                timeout_seconds=seconds,
                line=line,
                line_after_seconds=tool.waiting_phrase_after_seconds if line is not None else 0.0,
            )
        )
        return wanted

    def refuse(self, item: PlaybackItem, call: ToolCall, why: str) -> str:
        """Report a call that cannot be run. Returns the text for the model."""
        outcome = _Outcome(False, None, json.dumps({"error": "not_run", "message": why}, ensure_ascii=False))
        self._emit(ev.AgentToolCalled(item.turn, item.number, call.id, call.name, call.arguments, refused=True))
        self._emit_end(item.turn, item.number, call, outcome, 0.0)
        return outcome.text

    def release(self, wanted: RequestedTool) -> None:
        """Give up the result of a tool."""
        wanted.given_up = True
        if wanted.task is not None and wanted.tool.endpoint.method == _NO_EFFECT:
            wanted.task.cancel()
        elif wanted.task is None:
            self._emit_end(wanted.turn, wanted.speech, wanted.call, _GIVEN_UP, 0.0)

    def run(self, tool_id: str) -> None:
        """Start a tool, because the core says so."""
        wanted = self._requested.pop(tool_id, None)
        if wanted is None:
            return
        if wanted.given_up:  # the history shows it as running, and its end came before
            self._emit_end(wanted.turn, wanted.speech, wanted.call, _GIVEN_UP, 0.0)
            return
        name = f"{self._call_id}:tool:{wanted.call.id}"
        wanted.task = self._background.start(self._run(wanted), name=name, kind="tool", on_error=self._fail)
        self._running[wanted.task] = wanted
        wanted.task.add_done_callback(lambda task: self._running.pop(task, None))

    def abandon(self) -> list[asyncio.Task[None]]:
        """End with the call: cancel and return the tools that change nothing. The others run on."""
        given_up = [task for task, wanted in self._running.items() if wanted.tool.endpoint.method == _NO_EFFECT]
        for task in given_up:
            task.cancel()
        return given_up

    def close(self) -> None:
        """Note that the last row of the call is written: later outcomes are only logged."""
        self._is_over = True

    async def _run(self, wanted: RequestedTool) -> None:
        began = self._clock.call_seconds()
        outcome = _GIVEN_UP
        try:
            if wanted.tool.endpoint.method != _NO_EFFECT:
                await self._commit()
            outcome = await self._ask(wanted)
        finally:
            seconds = round(self._clock.call_seconds() - began, 3)
            self._emit_end(wanted.turn, wanted.speech, wanted.call, outcome, seconds)
            if not wanted.result.done():
                wanted.result.set_result(outcome.text)

    async def _ask(self, wanted: RequestedTool) -> _Outcome:
        call = wanted.call
        arguments, values = wanted.tool.read(call.arguments), wanted.tool.values
        try:
            answer = await self._endpoints[call.name].call(
                arguments, call_id=self._call_id, tool_call_id=call.id, values=values
            )
        except ProviderError as error:
            failure = ev.ProviderFailed.of(error, "act", final=False, turn=wanted.turn, speech=wanted.speech)
            self._emit(failure)
            return _Outcome(False, getattr(error, "status", None), _failure(error, wanted.tool))
        if answer.ok and answer.text:
            return _Outcome(True, answer.status, answer.text)
        shown: dict[str, Any] = {"status": answer.status, "answer": answer.text}
        if not answer.ok:
            shown["message"] = f"It was refused. {_HONEST}"
        return _Outcome(answer.ok, answer.status, json.dumps(shown, ensure_ascii=False))

    def _emit_end(self, turn: int, speech: int, call: ToolCall, outcome: _Outcome, seconds: float) -> None:
        if self._is_over:
            log.warning("tool.finished_late", tool=call.name, ok=outcome.ok, status=outcome.status, seconds=seconds)
            return
        self._emit(
            ev.AgentToolFinished(
                turn, speech, call.id, call.name, outcome.ok, outcome.status, seconds, outcome.text,
                given_up=outcome is _GIVEN_UP,
            )
        )  # fmt: skip


def _failure(error: ProviderError, tool: AgentTool) -> str:
    """The text for the model."""
    what = "There was no answer in time." if isinstance(error, ProviderTimeout) else "It did not work."
    was_asked = isinstance(error, ProviderTimeout | ProviderUnavailable | ProviderProtocolError)
    if was_asked and tool.endpoint.method != _NO_EFFECT:
        what += " It is not known whether it was done all the same."
    return json.dumps({"error": error.code, "message": f"{what} {_HONEST}"})
