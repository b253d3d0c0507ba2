"""What a call that lives looks like now, from its rows as they come."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from app.journal.bridges import BridgeReader
from app.journal.readable_rows import UNREADABLE, readable
from app.models import JournalRow

Who = Literal["caller", "agent"]
_DOLLAR_DIGITS = 6


@dataclass(slots=True)
class LiveCall:
    """The state of a call after the rows that were taken."""

    seq: int = 0
    """Of the last row."""
    floor: str = "listening"
    """Who has the floor, as ``state.changed`` says it."""
    speaker: Who | None = None
    words: str = ""
    """The last words of the caller, or the sentences of the agent that have begun."""
    transfer_to: str | None = None
    """The target of a transfer that is under way."""
    answer_seconds: float | None = None
    """From the caller's last sound to the last answer."""
    late_answers: int = 0
    trouble: dict[str, str] = field(default_factory=dict)
    """Stages that failed and have not worked since, each with the vendor and the code."""
    has_ended: bool = False
    _spent: float = 0.0
    _is_priced: bool = True
    _per_minute: float | None = None
    _budget: float = 0.0
    _speech: int | None = None
    """The utterance whose words ``words`` holds."""
    _bridges: BridgeReader = field(default_factory=BridgeReader)

    def take(self, rows: Iterable[JournalRow]) -> None:
        """Take the rows after the last one. Rows that this version cannot read are skipped."""
        rows = list(rows)
        for row in readable(rows):
            with suppress(*UNREADABLE):
                self._take(row)
        if rows:
            self.seq = rows[-1].seq

    def cost(self, seconds: float) -> tuple[float, bool]:
        """US dollars so far, and whether every price is known; ``seconds`` is how long the line is up.

        Speech recognition is billed at its end, so it is missing while it listens.
        """
        line = (self._per_minute or 0.0) * seconds / 60
        return round(self._spent + line, _DOLLAR_DIGITS), self._is_priced and self._per_minute is not None

    def _take(self, row: JournalRow) -> None:
        handler = _ROWS.get(row.type)
        if handler is not None:
            handler(self, row)

    def _created(self, row: JournalRow) -> None:
        self._per_minute = row.data.get("telephony_usd_per_minute")
        self._budget = float(row.data.get("policy", {}).get("max_response_seconds", 0.0))

    def _ended(self, _row: JournalRow) -> None:
        self.has_ended = True

    def _floor_passed(self, row: JournalRow) -> None:
        self.floor = row.data["after"].lower()

    def _caller_said(self, row: JournalRow) -> None:
        self._say("caller", row.data["text"], None)

    def _clause_started(self, row: JournalRow) -> None:
        speech = row.data["speech"]
        before = self.words if self._speech == speech else ""
        self._say("agent", before + row.data["text"], speech)

    def _tool_called(self, row: JournalRow) -> None:
        self._bridges.tool_called(row)

    def _tool_finished(self, row: JournalRow) -> None:
        self._bridges.tool_finished(row)
        if row.data["ok"]:
            self.trouble.pop("act", None)

    def _transfer_started(self, row: JournalRow) -> None:
        self.transfer_to = row.data["to"]

    def _transfer_over(self, _row: JournalRow) -> None:
        self.transfer_to = None

    def _failed(self, row: JournalRow) -> None:
        self.trouble[row.data["stage"]] = f"{row.data['provider']}: {row.data['code']}"

    def _restored(self, row: JournalRow) -> None:
        self.trouble.pop(row.data["stage"], None)

    def _used(self, row: JournalRow) -> None:
        cost = row.data.get("cost")
        self._spent += cost or 0.0
        self._is_priced = self._is_priced and cost is not None
        if row.data.get("served", True):
            self.trouble.pop(row.data.get("stage", ""), None)

    def _say(self, speaker: Who, words: str, speech: int | None) -> None:
        if words:
            self.speaker, self.words, self._speech = speaker, words, speech

    def _reply_started(self, row: JournalRow) -> None:
        kind, stamps = row.data["kind"], row.data.get("stamps", {})
        if kind in ("filler", "notice", "reconnected"):
            self._bridges.filler_started(row.turn)
        elif "last_voiced" in stamps:
            seconds = stamps["first_frame"] - stamps["last_voiced"]
            self.answer_seconds = round(seconds, 3)
            is_in_time = self._bridges.is_in_time(row.turn, stamps["last_voiced"], seconds, self._budget)
            self.late_answers += self._budget > 0 and not is_in_time


_ROWS: dict[str, Callable[[LiveCall, JournalRow], None]] = {
    "call.created": LiveCall._created,
    "call.ended": LiveCall._ended,
    "state.changed": LiveCall._floor_passed,
    "caller.words": LiveCall._caller_said,
    "turn.taken": LiveCall._caller_said,
    "agent.clause_started": LiveCall._clause_started,
    "agent.reply_started": LiveCall._reply_started,
    "agent.tool_called": LiveCall._tool_called,
    "agent.tool_finished": LiveCall._tool_finished,
    "transfer.started": LiveCall._transfer_started,
    "transfer.failed": LiveCall._transfer_over,
    "transfer.completed": LiveCall._transfer_over,
    "provider.failed": LiveCall._failed,
    "provider.restored": LiveCall._restored,
    "provider.used": LiveCall._used,
}
