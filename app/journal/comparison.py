"""A call and the same call held again, turn by turn: words, times and tools."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Literal

from app.journal.record import call_record
from app.models import JournalRow

Part = Literal["caller", "words", "time", "tools"]
LATER_SECONDS = 0.3
"""An answer that is later or sooner by so much is another answer to whoever waits for it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the caller said, and what the agent did until they spoke again. The first one is the opening."""

    caller: str
    agent: str
    answer: float | None = None
    """Seconds from the end of the caller's words to the answer; None without an answer from the model."""
    first_token: float | None = None
    """Seconds of them until the model's first word. A call in text has no others."""
    tools: tuple[str, ...] = ()
    """``name {arguments}`` of each call of a tool; one that was given up and made again counts once."""
    interrupted: bool = False
    """Whether the caller cut the agent short."""

    def in_text(self) -> "Exchange":
        """The exchange as it is measured in text."""
        return replace(self, answer=self.first_token)

    def as_written(self) -> dict[str, Any]:
        """The exchange in a file of tests."""
        given = {name: _plain(value) for name, value in asdict(self).items() if value is not None}
        return {name: value for name, value in given.items() if value is not False and value != []}


@dataclass(frozen=True, slots=True)
class Compared:
    """An exchange then and now; None where only the other has it."""

    number: int
    then: Exchange | None
    now: Exchange | None

    @property
    def differs(self) -> tuple[Part, ...]:
        """In what."""
        then, now = self.then, self.now
        if then is None or now is None:
            return ("words",)
        parts: dict[Part, bool] = {
            "caller": _same(then.caller, now.caller),
            "words": _same(then.agent, now.agent) and then.interrupted == now.interrupted,
            "time": (then.answer is None) == (now.answer is None)
            and abs((then.answer or 0.0) - (now.answer or 0.0)) < LATER_SECONDS,
            "tools": then.tools == now.tools,
        }
        return tuple(part for part, is_same in parts.items() if not is_same)

    @property
    def likeness(self) -> float:
        """How much of the agent's words are the same, from 0 to 1."""
        then, now = (each.agent.casefold().split() if each is not None else [] for each in (self.then, self.now))
        return SequenceMatcher(None, then, now, autojunk=False).ratio()


def exchanges(rows: Iterable[JournalRow], *, of_model: bool = False) -> list[Exchange]:
    """The exchanges of a call, as the caller heard them.

    ``of_model``: of the agent's words those that the model wrote, heard or not.
    """
    rows = list(rows)
    record = call_record(rows)
    callers = [turn for turn in record.turns if turn.role == "user"]
    made = []
    for number, turn in enumerate([None, *callers]):
        begin = float("-inf") if turn is None else turn.number
        end = callers[number].number if number < len(callers) else float("inf")
        agent = [each for each in record.turns if each.role != "user" and begin <= each.number < end]
        agent = [each for each in agent if each.kind == "reply"] if of_model else agent
        latency = next((each.latency for each in agent if each.latency is not None), None)
        said = [(each.text_generated or "" if of_model else each.text).strip() for each in agent]
        made.append(
            Exchange(
                turn.text if turn is not None else "",
                " ".join(filter(None, said)),
                None if latency is None else round(latency["total"], 3),
                None if latency is None else round(latency["llm_first_token"], 3),
                tuple(dict.fromkeys(_tools(rows, begin, end))),
                any(each.interrupted for each in agent),
            )
        )
    return made


def compared(then: Sequence[Exchange], now: Sequence[Exchange]) -> list[Compared]:
    """Both side by side, in order: the caller says the same things in the same order."""
    return [Compared(number, *pair) for number, pair in enumerate(zip_longest(then, now), 1)]


def _tools(rows: Iterable[JournalRow], begin: float, end: float) -> Iterable[str]:
    for row in rows:
        if row.type == "agent.tool_called" and not row.data.get("refused") and begin <= (row.turn or 0) < end:
            yield f"{row.data['name']} {sorted_arguments(row.data.get('arguments'))}"


def sorted_arguments(arguments: Any) -> str:
    """The arguments of a tool as the model wrote them, with their names in order."""
    try:
        return json.dumps(json.loads(arguments or "{}"), ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError):
        return str(arguments)


def _same(one: str, other: str) -> bool:
    return "".join(filter(str.isalnum, one.casefold())) == "".join(filter(str.isalnum, other.casefold()))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
