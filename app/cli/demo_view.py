"""Shows a call as it happens: a live view on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from sandbox.caller.events import CallerDone, CallerEvent, CallerPresses, CallerSpeaks, Ended, Journaled

_LINES_SHOWN = 24
_FATES = {"refused": "refused what was said", "cut": "cut the answer short"}
"""What happened to an answer whose vendor did not fail."""
_STATE_STYLE = {"listening": "green", "processing": "yellow", "speaking": "cyan", "ended": "dim"}


class CallView:
    """Turns events of the caller and rows of the journal into lines."""

    def __init__(self, language: str, profile: str) -> None:
        self.console = Console(highlight=False)
        self._title = f"Call in {language}, sandbox vendors with {profile} delays"
        self._lines: list[Text] = []
        self._state = "listening"
        self._answer = ""
        self._live: Live | None = None
        self._print(Text(self._title, style="bold"))

    def show(self, event: CallerEvent) -> None:
        """Show an event of the simulated caller."""
        match event:
            case CallerSpeaks(at, text):
                self._line(at, "caller", text or "(coughs)", "green")
            case CallerPresses(at, digit):
                self._line(at, "caller", f"(presses {digit})", "green")
            case CallerDone():
                pass
            case Journaled(at, row):
                self._row(at, row)
            case Ended(at, by, reason):
                self._line(at, "", f"the {by} has hung up: {reason}", "bold")
            case _:
                pass

    def note(self, what: str) -> None:
        """Show what happens to the service."""
        self._print(Text(f"          ✂      {what}", style="bold red"))

    def fail(self, reason: str) -> None:
        """Show that the call failed."""
        self._print(Text(f"The call failed: {reason}", style="bold red"))

    def _row(self, at: float, row: dict[str, Any]) -> None:
        data = row["data"]
        match row["type"]:
            case "state.changed":
                self._state = data["after"]
                self._line(at, "", f"{data['before']} → {data['after']}", "dim")
            case "agent.clause_started":
                self._line(at, "agent", data["text"].strip(), "cyan")
            case "agent.reply_started" if "last_voiced" in data["stamps"]:
                seconds = data["stamps"]["first_frame"] - data["stamps"]["last_voiced"]
                self._line(at, "", f"answered {seconds:.2f} s after the caller's last sound", "magenta")
            case "call.taken_over":
                self._line(at, "", f"another process has the caller, {data['gap_seconds']:.2f} s later", "bold red")
            case "agent.paused":
                self._line(at, "", "the agent pauses at once", "dim")
            case "agent.resumed":
                self._line(at, "", "false interruption: the agent continues where it stopped", "dim")
            case "agent.interrupted":
                self._line(at, "", f"interrupted; the caller had heard: {_tail(data['heard'])}", "yellow")
            case "caller.ignored":
                self._line(at, "", f"not taken as a turn: {data['reason']}", "dim")
            case "provider.failed":
                what = _FATES.get(data.get("answer", ""), "failed")
                self._line(at, "", f"{data['provider']} {what}: {data['code']}", "red")
            case _:
                pass

    def _line(self, at: float, who: str, text: str, style: str) -> None:
        self._print(Text(f"{at:6.2f} s  {who:6}  {text}", style=style))

    def _print(self, line: Text) -> None:
        self._lines.append(line)
        if self._live is None:
            self.console.print(line, soft_wrap=True)
        else:
            self._live.update(self.picture())

    def picture(self) -> RenderableType:
        """The last lines of the conversation, and who has the floor."""
        state = Text(f" {self._state.upper()} ", style=f"bold reverse {_STATE_STYLE[self._state]}")
        return Panel(Group(*self._lines[-_LINES_SHOWN:], Text(), state), title=self._title, title_align="left")

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw a live view on a terminal during the call. Elsewhere lines are printed as they come."""
        if not self.console.is_terminal:
            yield
            return
        with Live(self.picture(), console=self.console, refresh_per_second=12) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None


def _tail(text: str) -> str:
    return f"…{text[-40:]}" if len(text) > 40 else text
