import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from app.calls.after.analysis import WAIT_SECONDS, Analyst
from app.clock import parse_iso
from app.errors import ContentRejected, ProviderTimeout, ProviderUnavailable, SettingsError
from app.models import Message, TokenUsage
from app.observability.analysis_metrics import AnalysisMetrics
from app.ports.vendors import GeneratedText, LlmOptions
from app.storage.analyses import AnalysisStore
from tests.calls.after.test_webhooks import Clock
from tests.storage.stores import END, ENDING, Stores, a_call, a_row, last_row, open_stores

SCHEMA = {"day": {"type": "string"}, "guests": {"type": "integer"}}
ANSWER = {
    "summary": "A table for two on Friday.",
    "success": True,
    "reason": "It was booked.",
    "fields": {
        "day": {"value": "Friday", "quote": "on Friday", "turn": 1, "confirmed_turn": None},
        "guests": {"value": 2, "quote": "for six", "turn": 1, "confirmed_turn": None},
    },
}


@dataclass
class Model:
    """Answers by its script, then with the last answer again."""

    script: list[Any]
    cost: float | None = 0.25
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def generator(self, options: LlmOptions) -> "Model":
        if options.model == "unknown":
            raise SettingsError(["no vendor offers the model unknown"])
        return self

    async def generate(
        self, messages: list[Message], *, schema: Mapping[str, Any], call_id: str | None = None
    ) -> GeneratedText:
        self.asked.append((messages[-1].content, call_id))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return GeneratedText(answer, TokenUsage(100, 0, 20, self.cost), "gpt-6-luna")


@dataclass
class House:
    stores: Stores
    analyst: Analyst
    model: Model
    clock: Clock
    registry: CollectorRegistry

    async def analysis(self, call_id: str = "call-1") -> dict[str, Any]:
        call = await self.stores.calls.get(call_id)
        assert call is not None
        return call.analysis or {}

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def house(tmp_path: Path, *script: Any, cost: float | None = 0.25) -> AsyncIterator[House]:
    clock, registry = Clock(parse_iso(END) + timedelta(seconds=1)), CollectorRegistry()
    model = Model(list(script) or [json.dumps(ANSWER)], cost)
    async with open_stores(tmp_path) as stores:
        store = AnalysisStore(stores.database)
        analyst = Analyst(store, stores.reader, model, AnalysisMetrics(registry), clock=clock)
        yield House(stores, analyst, model, clock, registry)


async def an_ended_call(
    stores: Stores,
    call_id: str = "call-1",
    *,
    says: str | None = "A table on Friday, for two.",
    model: str = "m",
    outcome: Mapping[str, Any] = SCHEMA,
) -> None:
    await stores.calls.create(a_call(call_id))
    agent = {"name": "a", "prompt": "Book.", "models": {"llm": model}, "outcome": outcome}
    rows = [a_row(1, "call.created", language="en", agent=agent)]
    if says is not None:
        taken = {"turn": 1, "text": says, "source": "speech", "started_t": 0.1, "ended_t": 0.2}
        rows.append(a_row(2, "turn.taken", **taken))
    for row in rows:
        stores.journal.append(call_id, 1, row)
    stores.journal.append(call_id, 1, last_row(len(rows) + 1), replace(ENDING, said=("Hello",)))
    await stores.journal.flush(call_id)


async def test_what_came_of_a_call_is_in_its_record_with_what_it_cost(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_ended_call(ours.stores)
        assert await ours.analyst.analyse_due() == 1
        analysis = await ours.analysis()

        assert analysis == {
            "status": "done",
            "summary": "A table for two on Friday.",
            "success": True,
            "reason": "It was booked.",
            "model": "gpt-6-luna",
            "cost": 0.25,
            "fields": {
                "day": {"value": "Friday", "quote": "on Friday", "turn": 1, "verified_by": None},
                "guests": {"value": 2, "quote": None, "turn": None, "verified_by": None},  # nobody said "for six"
            },
        }
        [(asked, call_id)] = ours.model.asked
        assert "[1] caller: A table on Friday, for two." in asked
        assert call_id == "call-1"
        assert ours.figure("voice_analyses_total", result="done") == 1
        assert ours.figure("voice_analysis_cost_usd_total") == 0.25
        assert await ours.analyst.analyse_due() == 0


async def test_a_call_in_which_the_caller_said_nothing_costs_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_ended_call(ours.stores, says=None)
        await ours.analyst.analyse_due()
        analysis = await ours.analysis()

        assert (analysis["status"], analysis["success"], analysis["cost"]) == ("done", False, 0.0)
        assert (analysis["reason"], analysis["model"]) == ("the caller said nothing", None)
        assert ours.model.asked == []


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (ProviderTimeout("openai", "no first token before the deadline"), "provider_timeout: no first token"),
        (ProviderUnavailable("openai", "status 503"), "provider_unavailable: status 503"),
        ("Sorry, no.", "unreadable_answer: it is not JSON"),
        ('{"summary": "x"}', "unreadable_answer: it has no fields"),
    ],
)
async def test_it_is_tried_again_after_growing_waits_and_then_fails(tmp_path: Path, trouble: Any, reason: str) -> None:
    async with house(tmp_path, trouble) as ours:
        await an_ended_call(ours.stores)
        for wait in WAIT_SECONDS:
            assert await ours.analyst.analyse_due() == 1
            assert (await ours.analysis())["status"] == "pending"
            ours.clock.forward(wait - 0.01)
            assert await ours.analyst.analyse_due() == 0
            ours.clock.forward(0.01)
        await ours.analyst.analyse_due()
        analysis = await ours.analysis()

        assert analysis["status"] == "failed"
        assert analysis["reason"].startswith(reason)
        assert analysis["cost"] == (0.25 * len(ours.model.asked) if isinstance(trouble, str) else 0.0)
        assert len(ours.model.asked) == len(WAIT_SECONDS) + 1
        assert ours.figure("voice_analyses_total", result="failed") == 1


async def test_an_attempt_that_works_ends_it_and_the_ones_before_are_paid_for(tmp_path: Path) -> None:
    async with house(tmp_path, "no", json.dumps(ANSWER)) as ours:
        await an_ended_call(ours.stores)
        await ours.analyst.analyse_due()
        ours.clock.forward(WAIT_SECONDS[0])
        await ours.analyst.analyse_due()

        assert ((await ours.analysis())["status"], (await ours.analysis())["cost"]) == ("done", 0.5)


async def test_a_refusal_is_final(tmp_path: Path) -> None:
    async with house(tmp_path, ContentRejected("openai", "the model refused to answer")) as ours:
        await an_ended_call(ours.stores)
        await ours.analyst.analyse_due()

        analysis = await ours.analysis()
        assert analysis["status"] == "failed"
        assert analysis["reason"] == "content_rejected: the model refused to answer"


async def test_a_bug_of_ours_and_a_model_that_is_gone_harm_no_other_call(tmp_path: Path) -> None:
    async with house(tmp_path, RuntimeError("a bug"), json.dumps(ANSWER)) as ours:
        await an_ended_call(ours.stores)
        await ours.analyst.analyse_due()
        await an_ended_call(ours.stores, "call-2", model="unknown")
        await an_ended_call(ours.stores, "call-3")
        await ours.analyst.analyse_due()

        assert ((await ours.analysis())["status"], (await ours.analysis())["reason"]) == ("failed", "internal_error")
        assert (await ours.analysis("call-2"))["status"] == "pending"
        assert (await ours.analysis("call-3"))["status"] == "done"


async def test_an_unknown_price_makes_the_cost_unknown(tmp_path: Path) -> None:
    async with house(tmp_path, cost=None) as ours:
        await an_ended_call(ours.stores)
        await ours.analyst.analyse_due()

        assert (await ours.analysis())["cost"] is None


async def test_a_call_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_ended_call(ours.stores)
        await ours.stores.database.write(
            lambda tx: tx.exec_driver_sql("UPDATE analysis_jobs SET attempts = ?", (len(WAIT_SECONDS) + 1,))
        )
        await ours.analyst.analyse_due()

        analysis = await ours.analysis()
        assert (analysis["status"], analysis["reason"][:11]) == ("failed", "interrupted")
        assert ours.model.asked == []


async def test_the_loop_finds_calls_by_itself(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_ended_call(ours.stores)
        async with asyncio.timeout(60):
            while (await ours.analysis())["status"] != "done":
                await ours.analyst.look()


async def test_a_value_that_is_no_date_is_dropped_where_a_date_is_asked_for(tmp_path: Path) -> None:
    async with house(tmp_path) as ours:
        await an_ended_call(ours.stores, outcome={"day": {"type": "string", "format": "date"}})
        await ours.analyst.analyse_due()

        assert (await ours.analysis())["fields"]["day"]["value"] is None
