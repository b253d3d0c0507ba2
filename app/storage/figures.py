"""Figures over all calls: how many, how they ended, what they cost, and how long the answers took.

Each call is added to its hour and its day, by agent, in the transaction of its end, so that a question reads a few sums
and no calls. A call belongs to the time at which it began. The sums outlive the calls and hold nothing of a single one.
Calls that the service places to check itself are not counted.

A latency is stored as a step: step ``n`` holds the times from 1.05 to the power ``n - 1`` (left out) to 1.05 to the
power ``n`` seconds. A percentile is the middle of its step, so it is at most 2.5 % away from the exact one.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Table, Text, and_, cast, func, literal, select

from app.clock import iso_after
from app.ports.services import CallEnding
from app.storage.database import Database
from app.storage.dialects.statements import Lock, add_to, hold, replace_in
from app.storage.schema import call_figures, calls, decode_object, latency_figures

Period = Literal["hour", "day"]

_LETTERS: dict[Period, int] = {"hour": 13, "day": 10}
"""How much of an ISO time names the hour or the day."""
_REST: dict[Period, str] = {"hour": ":00:00.000Z", "day": "T00:00:00.000Z"}
_SECONDS: dict[Period, float] = {"hour": 3600.0, "day": 86400.0}
_GROWTH = 1.05
_SHORTEST_SECONDS = 0.001
"""A shorter latency counts as this one."""
_PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_DIGITS = 6
_Steps = Counter[int]
"""How many answers took about so long, by step."""
_COSTS = ("stt", "llm", "tts", "telephony", "total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long a stage of the answers took, in seconds; each within 2.5 %."""

    p50: float
    p95: float
    p99: float
    max: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Sums over calls that have ended."""

    amounts: Mapping[str, float] = field(default_factory=dict)
    """``calls``, ``answered``, ``talk_seconds``, ``answers``, ``late_answers``, ``late_calls``, ``unanswered_turns``,
    ``unanswered_calls``, ``unpriced_calls``, and those with a part after a colon: ``end_reason``, ``fault``,
    ``direction``, ``abandoned``, ``success`` (``true`` or ``false``) and ``cost`` (US dollars)."""
    latency: Mapping[str, Latency] = field(default_factory=dict)
    """By stage, and in ``total``."""

    def amount(self, name: str) -> float:
        """Of one name; 0 without a call."""
        return self.amounts.get(name, 0.0)

    def parts(self, name: str) -> dict[str, float]:
        """The amounts of a name by what follows its colon."""
        return {key.partition(":")[2]: value for key, value in self.amounts.items() if key.startswith(f"{name}:")}


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSet:
    """The figures of a time. Hours, days and agents without calls are left out."""

    since: str
    """ISO UTC, at the beginning of its hour or day."""
    until: str
    """ISO UTC, left out."""
    total: Figures
    by_time: Mapping[str, Figures]
    """By the beginning of the hour or day, in order."""
    by_agent: Mapping[str, Figures]
    """By the name of the agent; empty for calls of versions without agents."""


class FigureStore:
    """Reads the figures. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, period: Period, since: str, until: str) -> FigureSet:
        """The figures from the hour or day of ``since`` on to that of ``until``, which is left out if it just begins.

        Both are ISO UTC.
        """
        return await self._database.read(partial(_read, period, start_of(period, since), _end_of(period, until)))


def start_of(period: Period, at: str) -> str:
    """The beginning of the hour or day of an ISO UTC time."""
    return at[: _LETTERS[period]] + _REST[period]


def count_call(connection: Connection, call_id: str, ending: CallEnding) -> None:
    """Add an ended call to the figures, as part of a larger transaction."""
    call = connection.execute(
        select(calls.c.started_at, calls.c.agent, calls.c.direction, calls.c.answered_at, calls.c.synthetic).where(
            calls.c.call_id == call_id
        )
    ).one()
    if not call.synthetic and _is_moment(call.started_at):
        amounts = dict(amounts_of(ending, call.direction, was_answered=call.answered_at is not None))
        add(connection, call.started_at, call.agent, amounts, steps_of(ending.answers))


def count_success(connection: Connection, call_id: str, success: bool | None, *, amount: int = 1) -> None:
    """Count what an analysis found, as part of a larger transaction; ``amount`` is -1 to take it back."""
    call = connection.execute(
        select(calls.c.started_at, calls.c.agent, calls.c.synthetic).where(calls.c.call_id == call_id)
    ).one_or_none()
    if success is not None and call is not None and not call.synthetic and _is_moment(call.started_at):
        add(connection, call.started_at, call.agent, {f"success:{str(success).lower()}": amount}, {})


def _is_moment(started_at: object) -> bool:
    """Whether it names an hour. Whatever another program has written into a call must not keep it from ending."""
    return isinstance(started_at, str) and re.match(r"\d{4}-\d\d-\d\dT\d\d:", started_at) is not None


def amounts_of(ending: CallEnding, direction: str, *, was_answered: bool) -> Iterator[tuple[str, float]]:
    """What a call adds to the figures, by the names of :class:`Figures`."""
    summary = ending.summary or {}
    unanswered, late = (summary.get("unanswered") or {}).get("count", 0), summary.get("late", 0)
    costs = summary.get("costs") or {}
    yield "calls", 1
    yield f"end_reason:{ending.end_reason}", 1
    yield f"fault:{ending.fault}", 1
    yield f"direction:{direction}", 1
    if was_answered:
        yield "answered", 1
        yield "talk_seconds", ending.duration_seconds or 0.0
        yield "answers", len(ending.answers)
    if summary.get("abandoned"):
        yield f"abandoned:{summary['abandoned']}", 1
    for name, count in (("unanswered_turns", unanswered), ("late_answers", late)):
        yield name, count
        yield f"{name.partition('_')[0]}_calls", bool(count)
    if was_answered and costs.get("total") is None:
        yield "unpriced_calls", 1
    for kind in _COSTS:
        if costs.get(kind):
            yield f"cost:{kind}", costs[kind]


def steps_of(answers: Iterable[Mapping[str, float]]) -> dict[str, _Steps]:
    """How many answers took about how long, by stage."""
    found: dict[str, _Steps] = {}
    for answer in answers:
        for stage, seconds in answer.items():
            found.setdefault(stage, Counter())[_step(seconds)] += 1
    return found


def _step(seconds: float) -> int:
    return math.ceil(math.log(max(seconds, _SHORTEST_SECONDS), _GROWTH))


@cache
def _middle(step: int) -> float:
    """The value that is as far, in per cent, from the beginning of a step as from its end."""
    return round(2 * _GROWTH**step / (1 + _GROWTH), 4)


def add(
    connection: Connection,
    started_at: str,
    agent: str | None,
    amounts: Mapping[str, float],
    steps: Mapping[str, _Steps],
) -> None:
    """Add to the hour and the day of that ISO time, as part of a larger transaction."""
    hold(connection, Lock.FIGURES)
    for period in _LETTERS:
        where = {"period": period, "starts_at": start_of(period, started_at), "agent": agent or ""}
        sums = [{**where, "name": name, "amount": amount} for name, amount in amounts.items() if amount]
        if sums:
            add_to(connection, call_figures, "amount", sums)
        if steps:
            stored = select(latency_figures.c.stage, latency_figures.c.steps).filter_by(**where)
            before = {stage: _unpacked(packed) for stage, packed in connection.execute(stored)}
            rows = [
                {**where, "stage": stage, "steps": _packed(before.get(stage, Counter()) + found)}
                for stage, found in steps.items()
            ]
            replace_in(connection, latency_figures, "steps", rows)


def _packed(steps: _Steps) -> dict[str, int]:
    return {str(step): steps[step] for step in sorted(steps)}


def _unpacked(packed: Mapping[str, int]) -> _Steps:
    return Counter({int(step): answers for step, answers in packed.items()})


def _end_of(period: Period, at: str) -> str:
    """An hour or day that has begun is read whole."""
    start = start_of(period, at)
    return start if start == at else iso_after(start, _SECONDS[period])


def _read(period: Period, since: str, until: str, connection: Connection) -> FigureSet:
    def of(table: Table) -> ColumnElement[bool]:
        return and_(table.c.period == period, table.c.starts_at >= since, table.c.starts_at < until)

    def grouped(column: str | None, latencies: _Latencies) -> dict[str, Figures]:
        amounts = _sums(connection, of(call_figures), column)
        return {
            key: Figures(amounts=amounts.get(key, {}), latency=latencies.get(key, {}))
            for key in sorted(amounts.keys() | latencies.keys())
        }

    in_all, by_time, by_agent = _all_latencies(connection, of(latency_figures))
    total = grouped(None, {"": in_all} if in_all else {}).get("", Figures())
    return FigureSet(
        since=since,
        until=until,
        total=total,
        by_time=grouped("starts_at", by_time),
        by_agent=grouped("agent", by_agent),
    )


def _sums(connection: Connection, chosen: ColumnElement[bool], column: str | None) -> dict[str, dict[str, float]]:
    """The amounts by name, for each value of the column; without a column for the empty text."""
    key = literal("") if column is None else call_figures.c[column]
    found: dict[str, dict[str, float]] = {}
    wanted = select(key, call_figures.c.name, func.sum(call_figures.c.amount)).where(chosen)
    for value, name, amount in connection.execute(wanted.group_by(key, call_figures.c.name)):
        found.setdefault(value, {})[name] = round(amount, _DIGITS)
    return found


_Latencies = dict[str, dict[str, Latency]]
"""By hour, day or agent, and by stage."""


def _all_latencies(
    connection: Connection, chosen: ColumnElement[bool]
) -> tuple[dict[str, Latency], _Latencies, _Latencies]:
    """The latencies by stage: of all, by hour or day, and by agent.

    A week by hour has thousands of rows, so their steps are decoded together and summed as arrays.
    """
    text = cast(latency_figures.c.steps, Text)
    columns = (latency_figures.c.starts_at, latency_figures.c.agent, latency_figures.c.stage, text)
    rows = connection.execute(select(*columns).where(chosen)).all()
    if not rows:
        return {}, {}, {}
    decoded = _decoded([packed for *_, packed in rows])
    lengths = [len(steps) for steps in decoded]
    steps = np.array([int(step) for packed in decoded for step in packed], np.int64)
    answers = np.array([count for packed in decoded for count in packed.values()], np.float64)
    stages = [stage for _, _, stage, _ in rows]

    def summed(keys: list[str]) -> _Latencies:
        names = {name: number for number, name in enumerate(dict.fromkeys(zip(keys, stages, strict=True)))}
        group = np.repeat([names[name] for name in zip(keys, stages, strict=True)], lengths)
        lowest = int(steps.min())
        width = int(steps.max()) - lowest + 1
        counts = np.bincount(group * width + steps - lowest, answers, len(names) * width)
        found: _Latencies = {}
        for (key, stage), latency in sorted(
            zip(names, _latencies(counts.reshape(len(names), width), lowest), strict=True)
        ):
            found.setdefault(key, {})[stage] = latency
        return found

    all_of_it = summed([""] * len(rows))[""]
    return all_of_it, summed([at for at, *_ in rows]), summed([agent for _, agent, *_ in rows])


def _decoded(packed: list[Any]) -> list[dict[str, int]]:
    """The steps of all rows, decoded at once; if another program wrote one that is no JSON, each by itself."""
    try:
        decoded: list[dict[str, int]] = json.loads(f"[{','.join(packed)}]")
    except (TypeError, ValueError):
        return [decode_object(each) for each in packed]
    return decoded


def _latencies(counts: npt.NDArray[Any], lowest: int) -> Iterator[Latency]:
    """The latency of each row of counts, whose first column is that of the step ``lowest``."""
    upto = counts.cumsum(axis=1)
    totals = upto[:, -1:]
    reached = {name: (upto < share * totals).sum(axis=1) for name, share in _PERCENTILES.items()}
    longest = counts.shape[1] - 1 - (counts[:, ::-1] > 0).argmax(axis=1)
    for row, total in enumerate(totals[:, 0]):
        shown = {name: _middle(lowest + int(columns[row])) for name, columns in reached.items()}
        yield Latency(**shown, max=_middle(lowest + int(longest[row])), count=int(total))
