"""Which of the caller's turns were never answered, how long the caller waited, and whether they gave the call up.

A turn is answered when the answer begins to sound. A filler, an apology or an operator's line is no answer. What a
caller says during the disclosure, which nothing cuts, is answered by the first answer after it. The
caller's last goodbye, after which the agent hangs up, needs none. The wait begins with the caller's last sound. It ends
when they speak again, when the agent apologises, or with the call.
"""

from dataclasses import dataclass, field
from typing import Literal

from app.models import ANSWERING, JournalRow

Abandoned = Literal["ringing", "early", "waiting"]
"""When a caller gave the call up: before it was answered; within its first seconds, without an answer to anything they
said; while they waited for an answer or for a human."""

_EARLY_SECONDS = 10.0
_APOLOGY = "apology"
_DIGITS = 3


@dataclass(slots=True)
class _Turn:
    ended_t: float
    waited_until: float | None = None
    apologised: bool = False


@dataclass(slots=True)
class TurnWaits:
    """Reads the rows of a call in their order."""

    _turns: dict[int, _Turn] = field(default_factory=dict)
    _kinds: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Turn and kind of each utterance that began to sound."""
    _heard: dict[int, int] = field(default_factory=dict)
    """The turn of each utterance of which something was heard; its first row may be missing."""
    _disclosure: int | None = None
    """The disclosure that is sounding."""
    _early: set[int] = field(default_factory=set)
    """Turns that were taken while it sounded."""
    _transfer_runs: bool = False
    _said_goodbye: bool = False
    _closed_by: int | None = None
    """The turn after which the agent hung up: a last goodbye needs no answer."""

    def take(self, row: JournalRow) -> None:
        """Take the next row."""
        match row.type:
            case "turn.taken":
                self._taken(row)
            case "agent.reply_started":
                self._started(row)
            case "agent.finished" | "agent.interrupted":
                self._ended(row)
            case "transfer.started":
                self._transfer_runs = True
            case "transfer.failed" | "transfer.completed":
                self._transfer_runs = False
            case "call.ended" if row.data["reason"] == "agent_hangup" and self._turns:
                self._closed_by = max(self._turns)
            case _:
                pass

    def unanswered(self, ended_t: float | None) -> dict[int, float]:
        """Seconds waited by turn, in order. While the call lives, the last turn may still be answered."""
        answered, pending = self._answered(), max(self._turns, default=0)
        waited: dict[int, float] = {}
        for number, turn in self._turns.items():
            until = turn.waited_until if turn.waited_until is not None else ended_t
            if number not in answered and until is not None and (ended_t is not None or number != pending):
                waited[number] = round(max(0.0, until - turn.ended_t), _DIGITS)
        return waited

    def abandoned(self, *, answered_t: float | None, ended_t: float | None, reason: str | None) -> Abandoned | None:
        """When the caller gave the call up; None if they did not, or if the call has not ended."""
        if ended_t is None or reason != "caller_hangup":
            return None
        if answered_t is None:
            return "ringing"
        answered, last = self._answered(), max(self._turns, default=None)
        if self._transfer_runs or (
            last is not None and last not in answered and not self._turns[last].apologised and not self._said_goodbye
        ):
            return "waiting"
        is_early = ended_t - answered_t < _EARLY_SECONDS
        return "early" if is_early and not answered and not self._said_goodbye else None

    def _taken(self, row: JournalRow) -> None:
        for turn in self._turns.values():
            if turn.waited_until is None:
                turn.waited_until = row.data["started_t"]
        self._turns[row.turn or 0] = _Turn(row.data["ended_t"])
        if self._disclosure is not None:
            self._early.add(row.turn or 0)

    def _started(self, row: JournalRow) -> None:
        number, kind = row.turn or 0, row.data["kind"]
        self._kinds[row.data["speech"]] = number, kind
        self._said_goodbye = self._said_goodbye or kind == "goodbye"
        self._disclosure = row.data["speech"] if kind == "disclosure" else None
        turn = self._turns.get(number)
        if turn is not None and kind == _APOLOGY and not turn.apologised:
            turn.apologised = True
            turn.waited_until = row.t

    def _ended(self, row: JournalRow) -> None:
        if row.data["speech"] == self._disclosure:
            self._disclosure = None
        if row.data["heard"]:
            self._heard[row.data["speech"]] = row.turn or 0

    def _answered(self) -> set[int]:
        started = {turn for turn, kind in self._kinds.values() if kind in ANSWERING}
        heard = {turn for speech, turn in self._heard.items() if speech not in self._kinds}
        answered = started | heard | ({self._closed_by} if self._closed_by is not None else set())
        return answered | {turn for turn in self._early if any(later >= turn for later in answered)}
