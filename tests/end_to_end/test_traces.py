"""Traces of whole calls, as a real receiver of OTLP gets them."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.clock import parse_iso
from app.observability.trace_ids import span_id, trace_id
from sandbox.vendors.faults import Fault
from tests.end_to_end.calls import Held, hold
from tests.end_to_end.service import RunningService
from tests.end_to_end.test_tools import FREE, PATIENT, a_clinic, talk
from tests.support.tool_endpoint import Says
from tests.support.trace_collector import ReceivedSpan, TraceCollector, trace_collector

LEAPING_TIME = True

STAGES = ["end_of_turn", "llm_first_token", "first_clause", "tts_first_audio", "playout"]
SERVER, CLIENT = 2, 3


async def traced(service: RunningService, **counts: int) -> dict[str, float]:
    """The metric of the traces, once that many have come to each result."""
    while True:
        exposed = service.services.metrics.exposition().decode()
        now = {
            result: float(n) for result, n in re.findall(r'^voice_traces_total{result="(\w+)"} (\S+)$', exposed, re.M)
        }
        if all(now[result] >= count for result, count in counts.items()):
            return now
        await asyncio.sleep(0.1)


def tree(spans: list[ReceivedSpan], parent: str = "") -> list[Any]:
    """Names, each with what is below it, in the order of their times."""
    below = sorted((span for span in spans if span.parent_id == parent), key=lambda span: (span.began, span.ended))
    return [(span.name, tree(spans, span.span_id)) if tree(spans, span.span_id) else span.name for span in below]


def named(spans: list[ReceivedSpan], name: str) -> list[ReceivedSpan]:
    return [span for span in spans if span.name == name]


async def a_traced_call(
    tmp_path: Path, patch: pytest.MonkeyPatch, collector: TraceCollector
) -> tuple[Held, dict[str, str]]:
    """A call with a tool, and a model that fails once; also the headers that the tool's endpoint received."""
    settings = {
        "otel_exporter_otlp_endpoint": collector.url,
        "otel_exporter_otlp_headers": "x-team=phones,authorization=Bearer%20abc",
        "otel_service_name": "clinic-agent",
    }
    async with a_clinic(tmp_path, patch, Says(FREE, after=0.9), **settings) as (service, endpoint):
        service.sandbox.stage.faults.add(Fault("openai", "refuse", times=1, route="responses"))
        held = await hold(service, talk(PATIENT))
        await traced(service, exported=1)
        return held, endpoint.asked[0].headers


async def test_a_collector_gets_the_whole_call_and_nothing_that_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trace_collector() as collector:
        held, tool_headers = await a_traced_call(tmp_path, monkeypatch, collector)
    spans = collector.spans

    assert collector.headers["x-team"] == "phones"
    assert collector.headers["authorization"] == "Bearer abc"
    assert collector.resource["service.name"] == "clinic-agent"
    assert {span.trace_id for span in spans} == {held.record["trace_id"]} == {trace_id(held.call_id)}
    assert len({span.span_id for span in spans}) == len(spans)

    (call,) = tree(spans)
    assert call[0] == "call"
    turns = [below for below in call[1] if below[0] == "turn"]
    assert len(turns) == 3
    asked = [below for below in turns[1][1] if isinstance(below, str)]
    assert [name for name in asked if name in STAGES] == STAGES
    for name in ("caller", "execute_tool find_free_times", "chat gpt-6-luna", "speak sonic-3.5", "say", "chat openai"):
        assert name in asked
    assert "listen flux-general-multi" in call[1]

    (root,) = named(spans, "call")
    assert (root.kind, root.attributes["error.type"]) == (SERVER, "provider:openai")
    assert root.attributes["gen_ai.conversation.id"] == held.call_id
    assert root.attributes["gen_ai.agent.name"] == "clinic"
    assert root.attributes["voice.end_reason"] == "agent_hangup"
    began, ended = (parse_iso(held.journal[at]["at"]) for at in (0, -1))
    assert root.began == pytest.approx(began.timestamp() * 1e9, abs=2e6)
    assert root.ended == pytest.approx(ended.timestamp() * 1e9, abs=2e6)
    assert all(root.began <= span.began <= span.ended <= root.ended for span in spans)

    assert_requests_are_those_of_the_journal(held, spans, tool_headers)
    words = {word for row in held.journal for word in re.findall(r"[А-Яа-я]{3,}", str(row["data"]))}
    assert {"Когда", "Свободно"} <= words
    assert not [word for word in words if word.encode() in collector.raw]
    assert b"10:00" not in collector.raw


def assert_requests_are_those_of_the_journal(
    held: Held, spans: list[ReceivedSpan], tool_headers: dict[str, str]
) -> None:
    (tool,) = named(spans, "execute_tool find_free_times")
    assert (tool.kind, tool.attributes["http.response.status_code"]) == (CLIENT, 200)
    called, finished = held.rows("agent.tool_called")[0], held.rows("agent.tool_finished")[0]
    assert (tool.ended - tool.began) / 1e9 == pytest.approx(finished["t"] - called["t"], abs=1e-5)
    assert tool.span_id == span_id(held.call_id, f"tool:{called['data']['id']}")
    assert tool_headers["traceparent"] == f"00-{tool.trace_id}-{tool.span_id}-01"

    used = [row["data"] for row in held.rows("provider.used") if row["data"]["stage"] == "think"]
    chats = named(spans, "chat gpt-6-luna")
    assert [span.attributes["voice.request_ids"] for span in chats] == [row["request_ids"] for row in used]
    assert [span.attributes["gen_ai.usage.input_tokens"] for span in chats] == [row["prompt_tokens"] for row in used]
    (failed,) = named(spans, "chat openai")
    (row,) = held.rows("provider.failed")
    assert (failed.is_error, failed.attributes["error.type"]) == (True, row["data"]["code"])


@pytest.mark.parametrize("status", [500, 503])
async def test_a_collector_that_fails_costs_traces_and_one_line_of_the_log(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with capture_logs() as logs:
        async with (
            trace_collector(status) as collector,
            a_clinic(tmp_path, monkeypatch, Says(FREE), otel_exporter_otlp_endpoint=collector.url) as (
                service,
                _,
            ),
        ):
            first, second = await hold(service, talk()), await hold(service, talk())
            await traced(service, refused=2)
            lost = service.services.metrics.exposition().decode()
            collector.status = 200
            third = await hold(service, talk())
            await traced(service, exported=1)

    assert [held.record["end_reason"] for held in (first, second, third)] == ["agent_hangup"] * 3
    about = [line["event"] for line in logs if line["event"].startswith("traces.")]
    assert about == ["traces.not_exported", "traces.exported"]
    assert float(re.findall(r"^voice_trace_spans_dropped_total (\S+)$", lost, re.M)[0]) > 20
    assert {span.trace_id for span in collector.spans} == {third.record["trace_id"]}


async def test_without_an_endpoint_nothing_is_sent_and_no_tool_hears_of_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_clinic(tmp_path, monkeypatch, Says(FREE)) as (service, endpoint):
        await hold(service, talk())
        now = await traced(service)

    assert "traceparent" not in endpoint.asked[0].headers
    assert set(now.values()) == {0.0}
