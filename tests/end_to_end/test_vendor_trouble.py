"""Every vendor, failing in every way: the caller is not left in silence, and the record says whose fault it was."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import pytest

from app.clients import resilient
from app.clients.breaker import CircuitBreaker
from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, Connected
from sandbox.caller.media_client import CallFailed
from sandbox.caller.report import CallReport
from sandbox.caller.score import says, waits_for_agent, waits_for_end
from sandbox.vendors.faults import Fault, Vendor
from tests.end_to_end.calls import GREETING, QUIET, Held, held, hold, score, speak
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread

KINDS: tuple[str, ...] = ("hang", "stall", "cut", "slow", "refuse", "unauthorized", "rate_limit", "garbage")
VENDORS: tuple[Vendor, ...] = tuple(each for each in get_args(Vendor) if each != "livekit")
"""Of these calls, which come over a websocket."""
Lasts = Literal["once", "for ever"]
ONCE: tuple[str, ...] = ("hang", "stall", "cut", "refuse")
CASES: list[tuple[Vendor, str, Lasts]] = [
    *((vendor, kind, "once") for kind in ONCE for vendor in VENDORS),
    *((vendor, kind, "for ever") for kind in KINDS for vendor in VENDORS),
]
HARMLESS = {
    # what is only late, or is skipped: nothing has failed
    ("deepgram", "garbage"),
    ("deepgram", "slow"),
    ("openai", "slow"),
    ("cartesia", "garbage"),
    ("cartesia", "slow"),
}
SCORE = score(
    waits_for_agent(QUIET),
    says("Когда вы открыты?"),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    patience=10,
)
FIRST_CHOICES = {"cartesia": ("speak", "cartesia-websocket"), "deepgram": ("listen", "deepgram-flux")}
"""Whose fallbacks need not ask them again."""
_CALLS_AT_ONCE = 18
OWED_SECONDS = 2.0
"""Of silence after the caller's last sound; the budget is 1.5 s."""


@dataclass(frozen=True, slots=True)
class Lived:
    """A call with a failing vendor."""

    call: Held
    failure: CallFailed | None


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    data_dir = tmp_path_factory.mktemp("vendors")
    with pytest.MonkeyPatch.context() as patch:
        # Each call stands alone: what one of them finds out about a vendor must not spare the others.
        patch.setattr(resilient, "CircuitBreaker", partial(CircuitBreaker, threshold=10_000))
        with service_in_thread(data_dir, leaping=True, greeting=GREETING, idle_prompts=0) as running:
            running.run(hold(running, score(waits_for_agent(QUIET))))
            yield running


@pytest.fixture(scope="module")
def lived(service: RunningService) -> dict[tuple[Vendor, str, Lasts], Lived]:
    lines = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def one(case: tuple[Vendor, str, Lasts]) -> Lived:
        async with lines:
            return await _live(service, *case)

    async def all_of_them() -> dict[tuple[Vendor, str, Lasts], Lived]:
        async with asyncio.TaskGroup() as tasks:
            calls = {case: tasks.create_task(one(case), name=str(case)) for case in CASES}
        return {case: call.result() for case, call in calls.items()}

    return service.run(all_of_them())


async def _live(service: RunningService, vendor: Vendor, kind: str, lasts: Lasts) -> Lived:
    def on_event(event: CallerEvent) -> None:
        if isinstance(event, Connected):
            fault = Fault(vendor, kind, times=1 if lasts == "once" else None, call_id=event.call_id)
            service.sandbox.stage.faults.add(fault)

    caller = Caller(
        service.url,
        speak,
        sandbox_url=service.sandbox.url,
        api_key=API_KEY,
        on_event=on_event,
        longest_call_seconds=120,
    )
    failure: CallFailed | None = None
    async with caller:
        try:
            report = await caller.call(SCORE)
        except CallFailed as error:
            if error.report is None:
                raise
            failure, report = error, error.report
    return Lived(await held(service, report), failure)


def cases(*, lasts: Lasts | None = None) -> "pytest.MarkDecorator":
    wanted = [case for case in CASES if lasts in (None, case[2])]
    return pytest.mark.parametrize("case", wanted, ids=" ".join)


def silences(report: CallReport) -> list[float]:
    """How long the caller waited, after each thing they said, for a sound or for the end of the call."""
    waits = []
    for utterance in report.utterances:
        sounds = [span.end for span in report.agent_spans if span.end > utterance.ended_at]
        begins = [span.start for span in report.agent_spans if span.start > utterance.ended_at]
        speaking = any(span.start <= utterance.ended_at < span.end for span in report.agent_spans)
        waits.append(0.0 if speaking and sounds else min([*begins, report.ended_at]) - utterance.ended_at)
    return waits


@cases()
def test_the_caller_is_not_left_in_silence(
    lived: dict[tuple[Vendor, str, Lasts], Lived], case: tuple[Vendor, str, Lasts]
) -> None:
    report = lived[case].call.report
    assert report.agent_spans, "the caller never heard anything"
    assert report.agent_spans[0].start < OWED_SECONDS
    assert max(silences(report), default=0.0) < OWED_SECONDS


@cases()
def test_the_call_comes_to_an_end_with_a_word_from_the_agent(
    lived: dict[tuple[Vendor, str, Lasts], Lived], case: tuple[Vendor, str, Lasts]
) -> None:
    life = lived[case]
    assert life.failure is None
    assert (life.call.report.ended_by, life.call.report.close_code) == ("agent", 1000)
    assert life.call.record["end_reason"] in ("agent_hangup", "message_taken", "provider_failure", "silence")
    assert life.call.record["status"] == "ended"
    assert life.call.said("assistant")


@cases()
def test_the_record_names_the_vendor_that_failed(
    lived: dict[tuple[Vendor, str, Lasts], Lived], case: tuple[Vendor, str, Lasts]
) -> None:
    vendor, kind, lasts = case
    call = lived[case].call
    failed = {row["data"]["provider"] for row in call.rows("provider.failed") if row["data"]["answer"] != "late"}
    stage, first_choice = FIRST_CHOICES.get(vendor, ("", ""))
    others_stood_in = any(
        row["data"]["stage"] == stage and row["data"]["way"] != first_choice for row in call.rows("provider.used")
    )  # from the beginning, because it was known to be down
    assert vendor in failed or (vendor, kind) in HARMLESS or lasts == "once" or others_stood_in
    assert call.record["fault"] in ({f"provider:{each}" for each in failed} or {"none"})


@cases(lasts="once")
def test_a_single_failure_costs_the_caller_no_answer(
    lived: dict[tuple[Vendor, str, Lasts], Lived], case: tuple[Vendor, str, Lasts]
) -> None:
    call = lived[case].call
    assert call.record["end_reason"] == "agent_hangup"
    assert call.said("user") == ["Когда вы открыты?", "До свидания!"]


def test_the_service_is_well_after_all_that(
    service: RunningService, lived: dict[tuple[Vendor, str, Lasts], Lived]
) -> None:
    good = service.run(hold(service, score(waits_for_agent(QUIET), says("До свидания!"), waits_for_end())))
    assert (good.record["end_reason"], good.record["fault"]) == ("agent_hangup", "none")
    assert max(good.report.responses) < 1.5
    assert service.services.dispatcher.live_calls == 0
