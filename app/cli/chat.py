"""``voice-agent chat``: hold a call in text with an agent, by typing, from a pipe, or with one line."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from rich.console import Console
from rich.text import Text

from app.calls.text.caller import Action, HangsUp, Interrupts, Noise, OverAgent, Presses, Says, Silent
from app.calls.text.outside import NOTHING_KNOWN, FixedTool
from app.calls.text.script import ScriptedCaller
from app.cli.chat_lines import ChatLines
from app.cli.sandbox_process import vendors
from app.errors import CallRejected, InvalidRequest
from app.models import JournalRow
from app.observability.logs import configure_logging
from app.observability.printable import printable
from app.settings import Settings, load_text_settings
from app.wiring_text import Agents, TextRequest, open_text_calls

log = structlog.get_logger(__name__)

_RESULT_SHOWN = 300
WRONG_REQUEST = 2
"""Exit status when there is no such agent, or a variable is wrong."""
_HELP = (
    "Type what the caller says. /wait 10: say nothing for ten seconds · /press 12#: press keys · /over 2 Wait!: say it "
    "over the agent's next words, after two seconds of them · /noise 1: a cough over them · /hangup, or Ctrl-D"
)


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What the command line says."""

    agent: str | None
    once: str | None
    as_json: bool
    dry_tools: bool
    variables: Mapping[str, str]
    language: str | None


def chat_command(options: ChatOptions) -> int:
    """Hold a call. Returns the exit status: 0; 1 for a fault of ours or a vendor's; 2 for a wrong request."""
    configure_logging("error")
    settings = load_text_settings()
    try:
        agents = Agents(settings)
        request = TextRequest(agents.find(options.agent), options.language, variables=options.variables)
        request.check()
    except InvalidRequest as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_REQUEST
    with vendors(settings) as reachable:
        return asyncio.run(_chat(options, request, agents, reachable, is_sandbox=not settings.uses_live_vendors))


async def _chat(
    options: ChatOptions, request: TextRequest, agents: Agents, settings: Settings, *, is_sandbox: bool
) -> int:
    view = _View(options.as_json)
    async with open_text_calls(settings, agents, [request.agent]) as calls:
        agent = request.agent
        try:
            planned = await calls.plan(request, lookup=NOTHING_KNOWN if options.dry_tools else None)
        except CallRejected as error:
            sys.stderr.write(f"{error}\n")
            return 1
        plan = planned.plan
        view.show({
            "type": "call",
            "agent": agent.name,
            "language": plan.language,
            "model": plan.llm.model,
            "sandbox": is_sandbox,
        })  # fmt: skip
        endpoints = {name: FixedTool(name) for name in plan.endpoints if options.dry_tools}
        caller = ScriptedCaller([Says(options.once)]) if options.once is not None else _Typing(view.ask, view.show_help)
        await calls.warm_up()
        rows = await calls.hold(planned, caller, endpoints=endpoints, on_row=view.take)
    return int(rows[-1].data.get("fault", "none") not in ("none", "caller", "policy"))


@dataclass(slots=True)
class _Typing:
    """A caller who types, or whose lines come from a pipe."""

    ask: Callable[[], str | None]
    show_help: Callable[[str], None]
    over: OverAgent | None = None

    async def next(self, rows: Sequence[JournalRow]) -> Action:
        while True:
            line = await _in_thread(self.ask)
            if line is None:
                return HangsUp()
            if line.strip() and (action := self._read(line.strip())) is not None:
                return action

    async def over_agent(self, rows: Sequence[JournalRow], speech_seconds: float) -> OverAgent | None:
        over = self.over
        if over is None or over.after_seconds > speech_seconds:
            return None
        self.over = None
        return over

    def _read(self, line: str) -> Action | None:
        command, _, rest = line.partition(" ")
        try:
            match command:
                case "/wait":
                    return Silent(float(rest or 10))
                case "/press" if rest and set(rest) <= set("0123456789*#ABCD"):
                    return Presses(rest)
                case "/over":
                    seconds, _, text = rest.partition(" ")
                    self.over = Interrupts(text, float(seconds))
                case "/noise":
                    self.over = Noise(float(rest or 1))
                case "/hangup":
                    return HangsUp()
                case _ if command.startswith("/"):
                    self.show_help(_HELP)
                case _:
                    return Says(line)
        except ValueError:
            self.show_help(_HELP)
        return None


@dataclass(slots=True)
class _View:
    """Shows the call: for people, or one JSON object a line."""

    as_json: bool
    console: Console = field(default_factory=lambda: Console(highlight=False))
    lines: ChatLines = field(default_factory=ChatLines)

    def take(self, row: JournalRow) -> None:
        """Show what a row says."""
        for line in self.lines.take(row):
            self.show(line)

    def show(self, line: dict[str, Any]) -> None:
        """Show one line."""
        if self.as_json:
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        elif line["type"] != "caller" or not sys.stdin.isatty() or line["source"] != "speech":
            self.console.print(_shown(line), soft_wrap=True)

    def ask(self) -> str | None:
        """The next line that somebody types; None at the end."""
        if sys.stdin.isatty() and not self.as_json:
            try:
                return self.console.input("[bold cyan]you  [/]")
            except EOFError:
                return None
        return sys.stdin.readline() or None

    def show_help(self, text: str) -> None:
        """Say what can be typed."""
        sys.stderr.write(f"{text}\n")


def _shown(line: dict[str, Any]) -> Text:
    """A line for people."""
    return _SHOWN.get(line["type"], _event)(line)


def _head(line: dict[str, Any]) -> Text:
    stands_in = "; the sandbox stands in for the model, because there is no OPENAI_API_KEY"
    note = stands_in if line["sandbox"] else ""
    return Text(f"{line['agent']}, in {line['language']}, with {line['model']}{note}\n{_HELP}", style="dim")


def _agent(line: dict[str, Any]) -> Text:
    shown = Text.assemble(("agent ", "bold green"), printable(line["text"]))
    return shown.append(" ✂", style="yellow") if line["interrupted"] else shown


def _caller(line: dict[str, Any]) -> Text:
    return Text.assemble(("you   ", "bold cyan"), printable(line["text"]))


def _tool_called(line: dict[str, Any]) -> Text:
    arguments = json.dumps(line["arguments"], ensure_ascii=False)
    return Text(f"      tool {line['name']} {printable(arguments)}", style="magenta")


def _tool_finished(line: dict[str, Any]) -> Text:
    outcome = line["status"] if line["ok"] else f"failed ({line['status'] or 'no answer'})"
    return Text(f"      tool {line['name']}: {outcome}, {printable(line['result'])[:_RESULT_SHOWN]}", style="magenta")


def _turn_figures(line: dict[str, Any]) -> Text:
    return Text(f"      {_figures(line)}", style="dim")


def _end(line: dict[str, Any]) -> Text:
    return Text(f"{line['reason']}; {line['turns']} turns; {_figures(line)}", style="dim")


def _event(line: dict[str, Any]) -> Text:
    details = ", ".join(f"{name} {printable(str(value))}" for name, value in line["data"].items() if value)
    return Text(f"      {line['name']}: {details}", style="yellow")


_SHOWN: dict[str, Callable[[dict[str, Any]], Text]] = {
    "call": _head,
    "agent": _agent,
    "caller": _caller,
    "tool_called": _tool_called,
    "tool_finished": _tool_finished,
    "figures": _turn_figures,
    "end": _end,
}


def _figures(line: dict[str, Any]) -> str:
    first = line.get("first_token_seconds")
    cost = "unknown" if line["cost_usd"] is None else f"${line['cost_usd']:.6f}"
    begin = "" if first is None else f"first token {first:.3f} s, "
    return f"{begin}tokens {line['prompt_tokens']} + {line['completion_tokens']}, cost {cost}"


async def _in_thread(ask: Callable[[], str | None]) -> str | None:
    """What ``ask`` returns. Its thread ends with the process, so that Ctrl-C need not wait for a line."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str | None] = loop.create_future()

    def run() -> None:
        line = ask()
        loop.call_soon_threadsafe(_settle, answer, line)

    threading.Thread(target=run, name="keyboard", daemon=True).start()
    return await answer


def _settle(answer: "asyncio.Future[str | None]", line: str | None) -> None:
    if not answer.done():
        answer.set_result(line)
