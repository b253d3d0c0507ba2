"""The figures over all calls: what a call adds to them, and how exact their percentiles are."""

import json
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, literal_column, update

from app.models import CALL_EVENTS
from app.storage.analyses import Analysis, AnalysisStore
from app.storage.dialects.statements import is_postgres
from app.storage.figures import Figures, FigureSet, FigureStore, Period
from app.storage.outbox import Outbox, Subscription
from app.storage.schema import latency_figures
from tests.storage.stores import ENDING, Stores, a_call, last_row, open_stores
from tests.storage.test_analyses import NOW, SAID, claim

SUMMARY = {
    "unanswered": {"count": 2, "waited_seconds": [3.0, 4.0]},
    "late": 1,
    "abandoned": "waiting",
    "costs": {"stt": 0.01, "llm": 0.002, "tts": 0.03, "telephony": None, "total": None},
}
ANSWERS = ({"total": 0.7, "playout": 0.0}, {"total": 1.9, "playout": 0.001})


async def ends(stores: Stores, call_id: str, ending: Any = ENDING, **columns: Any) -> None:
    await stores.calls.create(a_call(call_id, **columns))
    stores.journal.append(call_id, 1, last_row(1), ending)
    await stores.journal.flush(call_id)


async def figures(
    stores: Stores, period: Period = "day", since: str = "2026-11-22", until: str = "2026-11-23"
) -> FigureSet:
    begin, end = (f"{day}T00:00:00.000Z" for day in (since, until))
    return await FigureStore(stores.database).read(period, begin, end)


async def test_a_call_counts_by_its_hour_its_day_and_its_agent(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await ends(stores, "one", agent="clinic", answered_at="2026-11-22T10:00:01.000Z")
        await ends(stores, "two", agent="clinic", started_at="2026-11-22T10:59:59.999Z")
        await ends(stores, "three", agent="sales", started_at="2026-11-22T11:00:00.000Z", direction="inbound")
        await ends(stores, "next day", agent="sales", started_at="2026-11-23T00:00:00.000Z")
        by_hour, by_day = await figures(stores, "hour"), await figures(stores)

    assert {at: hour.amount("calls") for at, hour in by_hour.by_time.items()} == {
        "2026-11-22T10:00:00.000Z": 2,
        "2026-11-22T11:00:00.000Z": 1,
    }
    assert {at: day.amount("calls") for at, day in by_day.by_time.items()} == {"2026-11-22T00:00:00.000Z": 3}
    assert {agent: of.amount("calls") for agent, of in by_day.by_agent.items()} == {"clinic": 2, "sales": 1}
    assert by_day.total.parts("direction") == {"web": 2, "inbound": 1}
    assert (by_day.total.amount("answered"), by_day.total.amount("talk_seconds")) == (1, 60.0)


async def test_what_a_call_was_like_is_summed_up(tmp_path: Path) -> None:
    ending = replace(ENDING, summary=SUMMARY, answers=ANSWERS, fault="provider:openai")
    async with open_stores(tmp_path) as stores:
        for call_id in ("one", "two"):
            await ends(stores, call_id, ending, answered_at="2026-11-22T10:00:01.000Z")
        found = (await figures(stores)).total

    assert found.amounts == {
        "calls": 2, "answered": 2, "talk_seconds": 120.0, "answers": 4, "unanswered_turns": 4, "unanswered_calls": 2,
        "late_answers": 2, "late_calls": 2, "unpriced_calls": 2, "end_reason:caller_hangup": 2, "direction:web": 2,
        "fault:provider:openai": 2, "abandoned:waiting": 2, "cost:stt": 0.02, "cost:llm": 0.004, "cost:tts": 0.06,
    }  # fmt: skip
    assert found.parts("fault") == {"provider:openai": 2}
    assert found.latency["total"].count == 4
    assert found.latency["playout"].p50 == pytest.approx(0.001, rel=0.025)


async def test_a_part_of_a_day_is_read_as_the_whole_day(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await ends(stores, "one")
        found = await FigureStore(stores.database).read("day", "2026-11-22T15:00:00.000Z", "2026-11-22T15:00:00.001Z")

    assert (found.since, found.until) == ("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z")
    assert found.total.amount("calls") == 1


async def test_without_calls_there_are_no_figures(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        found = await figures(stores)

    assert (found.total, found.by_time, found.by_agent) == (Figures(), {}, {})


def damage(written: str, connection: Connection) -> None:
    try:
        json.loads(written)
    except ValueError:
        if is_postgres(connection):  # takes nothing but JSON
            written = "null"
    where = (latency_figures.c.agent == "sales", latency_figures.c.stage == "total")
    connection.execute(update(latency_figures).where(*where).values(steps=literal_column(f"'{written}'")))


@pytest.mark.parametrize("written", ["no JSON", "[1, 2]", "7", '{"1": 25.5}', '{"1", 5}'])
async def test_a_row_that_another_program_has_damaged_takes_no_other_with_it(tmp_path: Path, written: str) -> None:
    async with open_stores(tmp_path) as stores:
        for call_id, agent in (("one", "clinic"), ("two", "sales")):
            ending = replace(ENDING, answers=ANSWERS)
            await ends(stores, call_id, ending, agent=agent, answered_at="2026-11-22T10:00:01.000Z")
        await stores.database.write(partial(damage, written))
        found = await figures(stores)

    assert found.by_agent["clinic"].latency["total"].count == 2
    assert found.by_agent["sales"].latency["playout"].count == 2
    assert found.by_agent["sales"].amount("calls") == 1


@pytest.mark.parametrize("seed", range(5))
async def test_every_percentile_is_within_two_and_a_half_per_cent(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    times = [chance.lognormvariate(-0.5, 0.9) for _ in range(chance.randrange(1, 400))]
    async with open_stores(tmp_path) as stores:
        answers = tuple({"total": seconds} for seconds in times)
        await ends(stores, "one", replace(ENDING, answers=answers), answered_at="2026-11-22T10:00:01.000Z")
        found = (await figures(stores)).total.latency["total"]

    times.sort()
    exact = {share: next(t for n, t in enumerate(times, 1) if n >= share * len(times)) for share in (0.5, 0.95, 0.99)}
    assert found.count == len(times)
    assert (found.p50, found.p95, found.p99) == tuple(pytest.approx(value, rel=0.0251) for value in exact.values())
    assert found.max == pytest.approx(times[-1], rel=0.0251)


async def test_a_call_that_checks_the_service_is_in_no_figure_and_reported_to_nobody(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await Outbox(stores.database).subscribe([Subscription("hook", None, frozenset(CALL_EVENTS))])
        await ends(stores, "one", SAID, synthetic=True)
        found, jobs = await figures(stores), await claim(stores)
        deliveries = await Outbox(stores.database).list(None, limit=10)

    assert (found.total, jobs, deliveries) == (Figures(), [], [])


async def test_an_analysis_counts_once_however_often_it_is_repeated(tmp_path: Path) -> None:
    counted = []
    async with open_stores(tmp_path) as stores:
        store = AnalysisStore(stores.database)
        await ends(stores, "one", SAID)
        for success in (True, False, None):
            [job] = await claim(stores)
            await store.finish(job, Analysis(status="done", success=success), NOW)
            counted.append((await figures(stores)).total.parts("success"))
            await store.request("one", NOW)
        counted.append((await figures(stores)).total.parts("success"))

    assert counted == [{"true": 1}, {"true": 0, "false": 1}, {"true": 0, "false": 0}, {"true": 0, "false": 0}]


async def test_an_erased_call_stays_in_the_figures(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await ends(stores, "one")
        await stores.calls.delete("one")

        assert (await figures(stores)).total.amount("calls") == 1
