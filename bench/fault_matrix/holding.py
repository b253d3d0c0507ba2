"""Holds the calls of one cell: one that is struck, and one beside it that must not notice.

Service, sandbox and callers run on one event loop whose clock leaps over waits (``tests/support/leaping_time.py``), so
a call takes a second or two, and the times are those of a machine that is never busy. All settings are production's.
"""

import asyncio
import os
import random
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from structlog.testing import capture_logs

from bench.fault_matrix.cells import Cell, Moment
from sandbox.caller.caller import Caller
from sandbox.caller.events import AgentStarted, CallerDone, CallerEvent, CallerSpeaks, Connected, Journaled, Ready
from sandbox.caller.media_client import CallFailed
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score, hangs_up, says, waits_for_agent
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.espeak_program import install
from sandbox.vendors.faults import Fault
from sandbox.vendors.voice import synthesize
from tests.end_to_end.calls import END_CALL, Held, held
from tests.end_to_end.service import API_KEY, RunningService, service_beside
from tests.end_to_end.silences import unowned_silences
from tests.support.leaping_time import LeapingTimeLoop
from tests.support.tool_endpoint import Says, tool_endpoint

_LISTENS_SECONDS = 2.6
"""So long the caller listens whether the agent has more to say: longer than any silence may be."""
TOOL_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0
_LONGEST_CALL_SECONDS = 150.0
SETTLES_SECONDS = 3.0
"""How long after the calls the service has to be at rest."""
_LOUD = ("error", "critical")

AGENT = """\
name: clinic
prompt: Answer for a clinic.
tools:
  - name: find_free_times
    description: Free times of a day.
    method: GET
    url: %s/free-times
    parameters: {type: object, properties: {day: {type: string}}, required: [day], additionalProperties: false}
    timeout_seconds: 5
"""


@dataclass(frozen=True, slots=True)
class Lines:
    """What is said in one language: by the caller, and by the model."""

    asks: tuple[str, str, str]
    answers: tuple[str, str, str]


LINES: Final = {
    "ru": Lines(
        ("Когда вы открыты?", "А когда у вас свободно?", "Спасибо, до свидания!"),
        (
            "Мы работаем каждый день с девяти до восьми. По праздникам у нас закрыто.",
            "Завтра свободно в десять утра.",
            "До свидания!",
        ),
    ),
    "en": Lines(
        ("When are you open?", "And when do you have a free time?", "Thank you, goodbye!"),
        (
            "We are open every day from nine to eight. On holidays we are closed.",
            "Tomorrow there is a free time at ten.",
            "Goodbye!",
        ),
    ),
}


@dataclass(slots=True)
class Lived:
    """What one caller lived through."""

    complaint: str = ""
    """Why the call did not go as the caller wanted."""
    greeted_after: float | None = None
    answered_after: list[float] = field(default_factory=list)
    """Seconds from the caller's last sound to the agent's first."""
    silence: float = 0.0
    """The longest silence that nobody owned, in seconds."""
    late: float = 0.0
    """How late this machine was with the caller's own sound at worst, in seconds; 0 where the clock leaps."""
    silent_at: float = 0.0
    """When it began, in seconds since the start of the call."""
    heard: list[str] = field(default_factory=list)
    """What the agent said, as far as the caller heard it."""
    answers: int = 0
    """How many of the model's three answers were heard whole."""
    served: list[str] = field(default_factory=list)
    """Who served the agent's turns: ``tts:deepgram-aura``."""
    end_reason: str = ""
    fault: str = ""
    failed: list[str] = field(default_factory=list)
    """The providers of the rows ``provider.failed``."""


@dataclass(slots=True)
class Outcome:
    """What a cell came to."""

    cell: Cell
    struck: Lived = field(default_factory=Lived)
    other: Lived = field(default_factory=Lived)
    strikes: int = 0
    """How many requests the fault has struck."""
    left: list[str] = field(default_factory=list)
    """What the service has left behind, or complained of, that is none of a vendor's trouble."""
    failed: str = ""
    """Why the cell could not be held to its end; the rest is empty then."""


def hold_cell(cell: Cell, folder: Path, prepared: Path | None = None) -> Outcome:
    """Hold the cell's calls; ``folder`` is new and becomes the service's.

    ``prepared`` keeps the data of a first start for the other cells that want the same one.
    """
    random.seed(str(cell))  # the service spreads its attempts at random
    with asyncio.Runner(loop_factory=LeapingTimeLoop) as runner:
        return runner.run(_Holding(cell, folder, prepared or folder / "prepared").hold())


class _Holding:
    def __init__(self, cell: Cell, folder: Path, prepared: Path) -> None:
        self._cell, self._folder = cell, folder
        self._prepared = prepared / cell.interface
        self._faults: list[Fault] = []
        self._left: list[str] = []

    async def hold(self) -> Outcome:
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: self._left.append(f"unhandled: {context.get('exception') or context['message']}")
        )
        _have_a_local_voice(self._folder)
        before = _open_files()
        with capture_logs() as entries:
            struck, other = await self._calls()
        self._left += [f"log: {each['event']}" for each in entries if _is_loud(each)]
        tasks = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        self._left += [f"task: {name}" for name in tasks]
        if (more := _open_files() - before) > 0:
            self._left.append(f"{more} open files")
        return Outcome(self._cell, struck, other, sum(fault.struck for fault in self._faults), sorted(set(self._left)))

    async def _calls(self) -> tuple[Lived, Lived]:
        async with (
            running_sandbox(profile="typical") as sandbox,
            tool_endpoint(Says(after=TOOL_SECONDS)) as endpoint,
        ):
            agent = self._folder / "clinic.yaml"
            agent.write_text(AGENT % endpoint.url, encoding="utf-8")
            for vendor, route in self._cell.place.down:
                sandbox.stage.faults.add(Fault(vendor, "unreachable", times=None, route=route))
            if self._cell.start == "warm":
                await self._start_once(sandbox, agent)
            if self._cell.is_from_the_start:
                self._strike(sandbox, "")
            async with self._service(sandbox, agent) as service:
                return await self._both(service)

    async def _start_once(self, sandbox: RunningSandbox, agent: Path) -> None:
        """Have the data of a service that has run before."""
        data = self._folder / "data"
        if not self._prepared.exists():
            async with self._service(sandbox, agent) as service:
                await _until_phrases_are_ready(service)
            kept = self._folder / "kept"
            shutil.copytree(data, kept)
            self._prepared.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # another process has kept its own meanwhile
                kept.rename(self._prepared)
            shutil.rmtree(data)
        shutil.copytree(self._prepared, data)

    def _service(self, sandbox: RunningSandbox, agent: Path) -> Any:
        return service_beside(
            sandbox,
            self._folder / "data",
            agent_prompt_file=agent,
            language=self._cell.place.language,
            tts_speed=1.0,
            **self._cell.place.settings,
        )

    async def _both(self, service: RunningService) -> tuple[Lived, Lived]:
        begun = asyncio.Event()
        watch = self._watch(service.sandbox)

        def on_event(event: CallerEvent) -> None:
            watch(event)
            if isinstance(event, Ready):
                begun.set()

        async with asyncio.TaskGroup() as tasks:
            struck = tasks.create_task(self._call(service, on_event), name="struck")
            struck.add_done_callback(lambda _task: begun.set())
            await begun.wait()  # so the order of the calls, and with it the sandbox's delays, is that of every run
            other = tasks.create_task(self._call(service, lambda _event: None), name="other")
        await asyncio.sleep(SETTLES_SECONDS)
        self._left += await _at_rest(service)
        return struck.result(), other.result()

    def _watch(self, sandbox: RunningSandbox) -> Callable[[CallerEvent], None]:
        """Orders the fault when the call has come to the cell's moment."""
        progress = Progress()

        def on_event(event: CallerEvent) -> None:
            after = progress.reached(event, self._cell.moment)
            if after is not None:
                asyncio.get_running_loop().call_later(after, self._strike, sandbox, progress.call_id)

        return on_event

    def _strike(self, sandbox: RunningSandbox, call_id: str) -> None:
        """Order the fault, once."""
        if self._faults:
            return
        fault = self._cell.fault(call_id)
        self._faults.append(fault)
        sandbox.stage.faults.add(fault)
        if self._cell.way.seconds is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self._cell.way.seconds, sandbox.stage.faults.remove, fault)

    async def _call(self, service: RunningService, on_event: Callable[[CallerEvent], None]) -> Lived:
        caller = Caller(
            service.url,
            lambda text, language, rate: synthesize(text, language, rate).pcm,
            sandbox_url=service.sandbox.url,
            api_key=API_KEY,
            on_event=on_event,
            longest_call_seconds=_LONGEST_CALL_SECONDS,
        )
        language = self._cell.place.language
        complaint, report = "", None
        async with caller:
            try:
                report = await caller.call(score_of(language))
            except CallFailed as failed:
                complaint, report = str(failed), failed.report
        if report is None:
            return Lived(complaint=complaint)
        return lived_from(await held(service, report), report, complaint, language)


class Progress:
    """How far a call is, by what its caller notices."""

    def __init__(self) -> None:
        self.call_id = ""
        self._said = 0

    def reached(self, event: CallerEvent, moment: Moment) -> float | None:
        """In how many seconds the moment comes, when the event announces it."""
        if isinstance(event, Connected):
            self.call_id = event.call_id
        if isinstance(event, CallerSpeaks):
            self._said += 1
        announces: dict[Moment, tuple[bool, float]] = {
            "before": (isinstance(event, Connected), 0.0),
            "greeting": (isinstance(event, AgentStarted), 0.2),
            "listening": (isinstance(event, CallerSpeaks), 0.3),
            "thinking": (isinstance(event, CallerDone), 0.35),
            "speaking": (isinstance(event, AgentStarted) and self._said > 0, 0.5),
            "tool": (isinstance(event, Journaled) and event.row["type"] == "agent.tool_called", 0.0),
            "ending": (isinstance(event, CallerDone) and self._said == len(LINES["ru"].asks), 0.0),
        }
        is_announced, after = announces[moment]
        return after if is_announced else None


def score_of(language: str) -> Score:
    """What the callers of a cell do, and what the model answers them."""
    said = LINES[language]
    first, second, last = said.answers
    steps = [step for text in said.asks[:2] for step in (says(text), waits_for_agent(_LISTENS_SECONDS))]
    calls_tool = {"name": "find_free_times", "arguments": {"day": "2026-12-01"}}
    replies: tuple[dict[str, Any], ...] = (
        {"text": first},
        {"text": "", "tool_calls": [calls_tool]},
        {"text": second},
        {"text": last, "tool_calls": END_CALL},
    )
    return Score(
        "fault matrix",
        language,
        (waits_for_agent(_LISTENS_SECONDS), *steps, says(said.asks[2]), waits_for_agent(_LISTENS_SECONDS), hangs_up()),
        replies,
        _PATIENCE_SECONDS,
    )


def lived_from(call: Held, report: CallReport, complaint: str, language: str) -> Lived:
    """What the caller of a held call has lived through."""
    silences = list(unowned_silences(report, call.journal))
    longest = max(silences, key=lambda each: each.end - each.start, default=None)
    heard = [text.strip() for text in call.said("assistant")]
    served = {
        f"{stage}:{name}"
        for turn in call.record["turns"]
        for stage, names in (turn.get("served") or {}).items()
        for name in names
    }
    return Lived(
        complaint=complaint,
        greeted_after=report.agent_spans[0].start if report.agent_spans else None,
        answered_after=[round(each, 2) for each in report.responses],
        silence=0.0 if longest is None else round(longest.end - longest.start, 2),
        late=report.lateness.maximum,
        silent_at=0.0 if longest is None else round(longest.start, 2),
        heard=heard,
        answers=sum(any(answer in text for text in heard) for answer in LINES[language].answers),
        served=sorted(served),
        end_reason=str(call.record["end_reason"]),
        fault=str(call.record["fault"]),
        failed=sorted({row["data"]["provider"] for row in call.rows("provider.failed")}),
    )


def _is_loud(entry: Mapping[str, Any]) -> bool:
    return entry["log_level"] in _LOUD


async def _until_phrases_are_ready(service: RunningService) -> None:
    """Hold an empty call, for which the service prepares the phrases of its format."""
    caller = Caller(service.url, lambda *_: b"", api_key=API_KEY, longest_call_seconds=30)
    async with caller:
        await caller.call(Score("warm", "ru", (waits_for_agent(0.5),), (), 20))
    await asyncio.sleep(60)


async def _at_rest(service: RunningService) -> list[str]:
    """What the service's own figures show that must not be."""
    async with service.async_client() as http:
        shown = (await http.get("/metrics")).text
        components = (await http.get("/health")).json()["components"]
    values = dict(line.rsplit(" ", 1) for line in shown.splitlines() if line and not line.startswith("#"))
    wrong = [
        f"metric: {name} {value}"
        for name, value in values.items()
        if float(value) and name.startswith(("voice_calls_active", "voice_loop_failures_total"))
    ]
    failed = [f"{each['name']}: {each['detail']}" for each in components if each["status"] == "failed"]
    return [*wrong, *failed]


def _have_a_local_voice(folder: Path) -> None:
    """Put the stand-in for the local voice where the service finds it, if this machine has none."""
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("espeak-ng") is None:
        programs = folder / "bin"
        programs.mkdir()
        os.environ["PATH"] = f"{install(programs).parent}{os.pathsep}{os.environ['PATH']}"


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
