"""``GET /stats``, of a service whose calls other processes have ended, and the filters by what a call was like."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.storage.figures import Latency
from tests.end_to_end.service import RunningService, service_in_thread
from tests.routers.test_calls import assert_problem, ids
from tests.storage.stores import ENDING, open_stores
from tests.storage.test_figures import ANSWERS, SUMMARY, ends

PRICED = {**SUMMARY, "late": 0, "unanswered": {"count": 0, "waited_seconds": []}, "abandoned": None}
PRICED["costs"] = {"stt": 0.01, "llm": 0.0, "tts": 0.0, "telephony": 0.0, "total": 0.01}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("stats")) as running:
        fill(running.settings.data_dir)
        yield running


def fill(folder: Path) -> None:
    import asyncio

    async def end_calls() -> None:
        async with open_stores(folder, flush_seconds=60.0) as stores:
            answered: dict[str, Any] = {"answered_at": "2026-11-22T10:00:01.000Z", "agent": "clinic"}
            bad = replace(ENDING, summary=SUMMARY, answers=ANSWERS, fault="provider:openai")
            await ends(stores, "bad", bad, **answered)
            await ends(stores, "good", replace(ENDING, summary=PRICED, answers=ANSWERS[:1]), **answered)
            await ends(stores, "check", bad, **answered, synthetic=True)
            await stores.database.write(lambda connection: None)

    asyncio.run(end_calls())


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def test_the_figures_of_a_day_by_hour_and_by_agent(http: httpx.Client) -> None:
    answer = http.get("/stats", params={"since": "2026-11-22", "until": "2026-11-23"})
    assert answer.status_code == 200, answer.text
    stats = answer.json()

    assert (stats["since"], stats["until"], stats["bucket"]) == (
        "2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z", "hour",
    )  # fmt: skip
    total = stats["total"]
    assert (total["calls"], total["answers"], total["late_calls"], total["unanswered_turns"]) == (2, 3, 1, 2)
    assert total["faults"] == {"none": 1, "provider:openai": 1}
    assert (total["costs"]["stt"], total["costs"]["total"], total["costs"]["unpriced_calls"]) == (0.02, 0.01, 1)
    assert total["latency"]["total"].keys() == set(Latency.__slots__)
    assert stats["buckets"] == [{"starts_at": "2026-11-22T10:00:00.000Z", **total}]
    assert stats["agents"] == [{"agent": "clinic", **total}]


def test_the_last_day_is_what_is_asked_for_by_default(http: httpx.Client) -> None:
    hours, days = (http.get("/stats", params={"bucket": bucket}).json() for bucket in ("hour", "day"))

    assert (hours["buckets"], hours["total"]["calls"]) == ([], 0)
    assert hours["since"] > days["since"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket": "week"},
        {"since": "yesterday"},
        {"since": "2026-11-23", "until": "2026-11-22"},
        {"since": "2026-11-22", "until": "2026-11-22"},
        {"since": "2026-10-01", "until": "2026-11-22"},
        {"since": "2020-10-01", "until": "2026-11-22", "bucket": "day"},
        {"until": "0001-01-01"},
        {"until": "9999-12-31T23:59:59Z"},
        {"agent": "clinic"},
    ],
    ids=str,
)
def test_a_time_that_makes_no_sense_is_named(http: httpx.Client, wrong: dict[str, str]) -> None:
    problem = assert_problem(http.get("/stats", params=wrong), 422, "invalid_request")
    assert any(name in problem["detail"] for name in (*wrong, "14 days", "731 days"))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["good", "bad"]),
        ({"late": "true"}, ["bad"]),
        ({"failed": "true"}, ["bad"]),
        ({"failed": "false"}, ["good"]),
        ({"late": "false"}, ["good"]),
        ({"unanswered": "true"}, ["bad"]),
        ({"unanswered": "false", "direction": "web"}, ["good"]),
        ({"unanswered": "true", "late": "false"}, []),
        ({"synthetic": "true"}, ["check"]),
        ({"synthetic": "true", "late": "false"}, []),
    ],
    ids=str,
)
def test_calls_are_found_by_what_they_were_like(http: httpx.Client, wanted: dict[str, str], found: list[str]) -> None:
    assert ids(http.get("/calls", params=wanted)) == found
