"""Figures over all calls: how many, how they ended, what they cost, and how long the answers took.

Each call is added to its hour and its day, by agent, in the transaction of its end, so that a question reads a few sums
and no calls. A call belongs to the time at which it began. The sums outlive the calls and hold nothing of a single one.
Calls that the service places to check itself are not counted.

A latency is stored as a step: step ``n`` holds the times from 1.05 to the power ``n - 1`` (left out) to 1.05 to the
power ``n`` seconds. A percentile is the middle of its step, so it is at most 2.5 % away from the exact one.
"""

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Table, Text, and_, cast, select

from app.clock import iso_after
from app.ports.services import CallEnding
from app.storage.database import Database
from app.storage.dialects.statements import Lock, add_to, hold, object_of, replace_in
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
_COMMAS = bytes.maketrans(b":", b",")
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
        begin, end = start_of(period, since), _end_of(period, until)
        rows = await self._database.read(partial(_read, period, begin, end))
        return await asyncio.to_thread(_figures_of, rows, begin, end)


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


class _Rows(NamedTuple):
    """The sums of a time as they are stored. They are decoded and added up in a thread of their own."""

    amounts: list[tuple[str, str, str]]
    """Of each hour or day and agent, the amounts by name as JSON."""
    steps: list[tuple[str, str, str, str]]
    """Of each hour or day, agent and stage, the answers by step as JSON."""


def _read(period: Period, since: str, until: str, connection: Connection) -> _Rows:
    def of(table: Table) -> ColumnElement[bool]:
        return and_(table.c.period == period, table.c.starts_at >= since, table.c.starts_at < until)

    amounts = call_figures.c
    objects = select(amounts.starts_at, amounts.agent, object_of(amounts.name, amounts.amount))
    latencies = latency_figures.c
    steps = select(latencies.starts_at, latencies.agent, latencies.stage, cast(latencies.steps, Text))
    by_hour_and_agent = objects.where(of(call_figures)).group_by(amounts.starts_at, amounts.agent)
    return _Rows(
        amounts=[tuple(row) for row in connection.execute(by_hour_and_agent)],
        steps=[tuple(row) for row in connection.execute(steps.where(of(latency_figures)))],
    )


def _figures_of(rows: _Rows, since: str, until: str) -> FigureSet:
    in_all, by_time, by_agent = _latencies_of(rows.steps)
    decoded = _decoded([packed for *_, packed in rows.amounts])
    amounts = [(at, agent, found) for (at, agent, _), found in zip(rows.amounts, decoded, strict=True)]

    def grouped(keyed: Iterable[tuple[str, Mapping[str, float]]], latencies: _Latencies) -> dict[str, Figures]:
        sums: dict[str, dict[str, float]] = {}
        for key, found in keyed:
            known = sums.setdefault(key, {})
            for name, amount in found.items():
                known[name] = known.get(name, 0) + amount
        return {
            key: Figures(
                amounts={name: round(amount, _DIGITS) for name, amount in sorted(sums.get(key, {}).items())},
                latency=latencies.get(key, {}),
            )
            for key in sorted(sums.keys() | latencies.keys())
        }

    by_agent_figures = grouped(((agent, amount) for _, agent, amount in amounts), by_agent)
    total = grouped((("", each.amounts) for each in by_agent_figures.values()), {"": in_all} if in_all else {})
    return FigureSet(
        since=since,
        until=until,
        total=total.get("", Figures()),
        by_time=grouped(((at, amount) for at, _, amount in amounts), by_time),
        by_agent=by_agent_figures,
    )


_Latencies = dict[str, dict[str, Latency]]
"""By hour, day or agent, and by stage."""


def _latencies_of(rows: list[tuple[str, str, str, str]]) -> tuple[dict[str, Latency], _Latencies, _Latencies]:
    """The latencies by stage: of all, by hour or day, and by agent.

    A week by hour has thousands of rows, so their steps are decoded together and summed as arrays.
    """
    if not rows:
        return {}, {}, {}
    lengths, steps, answers = _all_steps([packed for *_, packed in rows])
    if not len(steps):
        return {}, {}, {}
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


def _all_steps(packed: list[str]) -> tuple[list[int], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """How many steps each row has, and of all rows one after the other the steps and their answers.

    What the service has written has numbers and signs only, so all of it is read as one array, not as JSON.
    """
    text = ",".join(map(str, packed)).encode().translate(_COMMAS, b'{}" ')
    lengths = [str(each).count(":") for each in packed]
    if not text.translate(None, b"0123456789-,"):
        with suppress(ValueError, DeprecationWarning):  # numpy reads as far as it can
            numbers = np.fromstring(text, np.int64, sep=",")
            if len(numbers) == 2 * sum(lengths):
                return lengths, numbers[::2], numbers[1::2].astype(np.float64)
    decoded = [decode_object(each) for each in packed]
    steps = np.array([int(step) for each in decoded for step in each], np.int64)
    return [len(each) for each in decoded], steps, np.array([n for each in decoded for n in each.values()], np.float64)


def _decoded(packed: list[Any]) -> list[dict[str, float]]:
    """The amounts of all rows, decoded at once; if another program wrote one that is no JSON, each by itself."""
    try:
        decoded: list[dict[str, float]] = json.loads(f"[{','.join(packed)}]")
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
