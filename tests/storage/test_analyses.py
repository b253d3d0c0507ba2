from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.clock import parse_iso
from app.errors import CallNotFound, CallStillLive
from app.models import CALL_EVENTS
from app.storage.analyses import Analysis, AnalysisJob, AnalysisStore, outcome_value
from app.storage.call_lists import CallFilter
from app.storage.database import migrate
from app.storage.outbox import Outbox, Subscription
from tests.storage.stores import END, ENDING, Stores, a_call, last_row, open_stores
from tests.support.databases import look, url_of

NOW = parse_iso(END) + timedelta(seconds=1)
SAID = replace(ENDING, said=("Здравствуйте",))
FIELDS = {
    name: {"value": value, "quote": None, "turn": None, "verified_by": None}
    for name, value in {"booked": True, "guests": 2.0, "day": "2026-06-03", "people": ["a"], "note": None}.items()
}
DONE = Analysis(status="done", summary="Booked.", fields=FIELDS, success=True, reason="x", model="m", cost=0.1)


async def claim(stores: Stores, **given: Any) -> list[AnalysisJob]:
    options = {"now": NOW, "lease_now": 100.0, "until": 300.0, "limit": 5} | given
    now = options.pop("now")
    return await AnalysisStore(stores.database).claim(now, **options)


async def analysis(stores: Stores, call_id: str = "call-1") -> dict[str, Any]:
    call = await stores.calls.get(call_id)
    assert call is not None
    return call.analysis or {}


async def an_ended_call(stores: Stores, call_id: str = "call-1", ending: Any = SAID) -> None:
    await stores.calls.create(a_call(call_id))
    stores.journal.append(call_id, 1, last_row(1), ending)
    await stores.journal.flush(call_id)


async def test_a_call_in_which_something_was_said_is_analysed_after_its_end(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await an_ended_call(stores)
        await an_ended_call(stores, "silent", ENDING)
        pending, silent = await analysis(stores), await analysis(stores, "silent")
        [job] = await claim(stores)
        assert await AnalysisStore(stores.database).finish(job, DONE, NOW)
        done = await analysis(stores)

        assert (pending["status"], silent) == ("pending", {})
        assert (job.call_id, job.attempts, job.cost) == ("call-1", 1, 0.0)
        assert (done["summary"], done["fields"]["guests"]["value"]) == ("Booked.", 2.0)
        assert await claim(stores) == []
        assert await AnalysisStore(stores.database).waiting() == 0


async def test_its_end_is_reported_in_the_same_transaction(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await Outbox(stores.database).subscribe([Subscription("us", None, frozenset(CALL_EVENTS))])
        await an_ended_call(stores)
        [job] = await claim(stores)
        await AnalysisStore(stores.database).finish(job, DONE, NOW)
        told = await Outbox(stores.database).list(None, limit=9)

    assert [delivery.event for delivery in told] == ["call.analyzed", "call.ended", "call.started"]


async def test_a_job_is_one_workers_until_its_lease_runs_out(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as one, open_stores(tmp_path) as other:
        await an_ended_call(one)
        [mine] = await claim(one)
        assert await claim(other, lease_now=299.0) == []
        [theirs] = await claim(other, lease_now=301.0, until=500.0)

        assert theirs.attempts == 2
        assert not await AnalysisStore(one.database).finish(mine, DONE, NOW)
        assert await AnalysisStore(other.database).finish(theirs, DONE, NOW)


@pytest.mark.sqlite
async def test_a_start_releases_the_jobs_of_dead_workers(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await an_ended_call(stores)
        await claim(stores)
    migrate(url_of(tmp_path / "calls.db"))
    async with open_stores(tmp_path) as stores:
        assert [job.attempts for job in await claim(stores)] == [2]


async def test_a_job_that_failed_is_due_later_and_keeps_what_it_cost(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await an_ended_call(stores)
        [job] = await claim(stores)
        await AnalysisStore(stores.database).again(job, NOW + timedelta(seconds=10), 0.5)

        assert await claim(stores, now=NOW + timedelta(seconds=9)) == []
        [again] = await claim(stores, now=NOW + timedelta(seconds=10))
        assert (again.attempts, again.cost) == (2, 0.5)


async def test_calls_are_found_by_their_plain_values(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for call_id in ("call-1", "call-2"):
            await an_ended_call(stores, call_id)
        for job in await claim(stores):
            fields = FIELDS if job.call_id == "call-1" else {**FIELDS, "guests": {"value": 3}}
            await AnalysisStore(stores.database).finish(job, replace(DONE, fields=fields), NOW)

        async def found(**outcome: str) -> list[str]:
            calls, _ = await stores.calls.list(CallFilter(outcome=outcome), limit=9)
            return [call.call_id for call in calls]

        assert await found(guests="2") == ["call-1"]
        assert await found(booked="true") == ["call-2", "call-1"]
        assert await found(booked="true", guests="3") == ["call-2"]
        assert await found(day="2026-06-03", booked="false") == []
        assert await found(people="a") == await found(note="None") == await found(unknown="x") == []


def test_values_are_compared_as_they_are_written() -> None:
    values = [True, 2, 2.0, 2.5, "a", None, "", [1], {"a": 1}, "x" * 300]
    assert [outcome_value(value) for value in values] == [
        "true", "2", "2", "2.5", "a", None, None, None, None, None,
    ]  # fmt: skip


async def test_a_call_can_be_analysed_anew_also_while_it_is_being_analysed(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        analyses = AnalysisStore(stores.database)
        await an_ended_call(stores)
        [job] = await claim(stores)
        await analyses.request("call-1", NOW)
        assert not await analyses.finish(job, DONE, NOW)
        [job] = await claim(stores)
        await analyses.finish(job, DONE, NOW)
        await analyses.request("call-1", NOW)
        again = await analysis(stores)

        assert (again["status"], again["summary"]) == ("pending", None)
        assert look(stores.path, "SELECT count(*) FROM call_outcomes") == [(0,)]
        await stores.calls.create(a_call("live"))
        with pytest.raises(CallStillLive):
            await analyses.request("live", NOW)
        with pytest.raises(CallNotFound):
            await analyses.request("call-9", NOW)


async def test_erasing_a_call_erases_what_came_of_it(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await an_ended_call(stores)
        [job] = await claim(stores)
        await AnalysisStore(stores.database).finish(job, DONE, NOW)
        await an_ended_call(stores, "call-2")
        [late] = await claim(stores)
        for call_id in ("call-1", "call-2"):
            await stores.calls.delete(call_id)
        assert not await AnalysisStore(stores.database).finish(late, DONE, NOW)

        for table in ("analysis_jobs", "call_outcomes", "calls"):
            assert look(stores.path, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 - ours


async def test_a_call_that_is_not_to_be_analysed_has_no_job_until_somebody_asks(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await an_ended_call(stores, ending=replace(SAID, is_analysed=False))
        before, jobs = await analysis(stores), await claim(stores)
        await AnalysisStore(stores.database).request("call-1", NOW)
        after = await claim(stores)

    assert (before, jobs) == ({}, [])
    assert [job.call_id for job in after] == ["call-1"]
