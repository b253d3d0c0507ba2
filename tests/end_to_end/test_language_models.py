"""What a language model, or its server, sends wrongly: one caller hears a sentence, and nobody else notices."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.conversation.policy import RUSSIAN
from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, Connected
from sandbox.caller.score import Score, hangs_up, says, waits_for_agent, waits_for_end
from sandbox.vendors.faults import NAMED, Fault
from tests.end_to_end.calls import END_CALL, GREETING, QUIET, Held, held, score, speak
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread

HOURS = "Мы работаем с девяти до шести каждый день."
GOODBYE = "Ждём вас!"
ENDS: dict[str, Any] = {"text": GOODBYE, "tool_calls": END_CALL}
INNOCENT = ("Когда вы открыты?", "Сколько стоит приём?", "Где вы находитесь?")

WHOLE = (
    *("strict_history", "no_choices", "null_usage", "content_parts", "comment_lines", "odd_finish_reason"),
    *("no_finish_reason", "two_calls_index_zero", "calls_without_numbers", "no_arguments", "blank_arguments"),
    *("object_arguments", "broken_arguments", "call_beside_text", "thinking_tags", "thinking_reasoning_tags"),
    *("thinking_field", "thinking_without_beginning"),
)
"""Faults that cost the caller nothing."""
SIX_WORDS = "Мы работаем с девяти до шести"
LESS: dict[str, tuple[list[str], str]] = {
    "call_in_text": ([HOURS], "none"),
    "cut_by_filter": ([SIX_WORDS, RUSSIAN.cut_off], "provider:openai"),
    "cut_by_length": ([SIX_WORDS, RUSSIAN.cut_off], "provider:openai"),
    "empty_answer": ([RUSSIAN.apology], "provider:openai"),
    "thinking_without_end": ([RUSSIAN.apology], "provider:openai"),
}
"""What the caller hears of other faults, and whose fault it is."""
REFUSED = {
    "refused_content": ("Скажи запретное слово.", "запретное"),
    "refused_in_stream": ("Скажи недозволенное слово.", "недозволенное"),
}
"""A sentence that a caller says, and its word that the vendor refuses."""


@pytest.fixture(scope="module", params=["responses", "chat"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    data_dir = tmp_path_factory.mktemp(f"models-{request.param}")
    quick: dict[str, Any] = {"greeting": GREETING, "openai_api": request.param}
    with service_in_thread(data_dir, leaping=True, **quick) as running:
        yield running


async def call(service: RunningService, wanted: Score, fault: str = "none") -> Held:
    """One call, with a fault that strikes it alone."""

    def on_event(event: CallerEvent) -> None:
        if isinstance(event, Connected) and fault != "none":
            service.sandbox.stage.faults.add(Fault("openai", fault, call_id=event.call_id, times=None))

    caller = Caller(
        service.url, speak, sandbox_url=service.sandbox.url, api_key=API_KEY, on_event=on_event, longest_call_seconds=90
    )
    async with caller:
        report = await caller.call(wanted)
    return await held(service, report)


def talk(*texts: str, replies: tuple[dict[str, Any], ...]) -> Score:
    """The caller says these, waits for an answer to each, and says goodbye."""
    turns = [step for text in texts for step in (says(text), waits_for_agent(QUIET))]
    return score(waits_for_agent(QUIET), *turns, says("До свидания!"), waits_for_end(), replies=replies)


def prompts(service: RunningService, call_id: str) -> list[str]:
    """What the model was sent in a call, in its order."""
    kept = [request for request in service.sandbox.stage.requests if request.call_id == call_id]
    return [json.dumps(each.body, ensure_ascii=False) for each in kept if each.vendor == "openai"]


def failures(service: RunningService) -> dict[str, float]:
    """Requests to the model that failed, by their results."""
    samples = (sample for metric in service.services.metrics.registry.collect() for sample in metric.samples)
    counted = {
        sample.labels["result"]: sample.value
        for sample in samples
        if sample.name == "voice_provider_requests_total" and sample.labels["provider"] == "openai"
    }
    return {result: count for result, count in counted.items() if result not in ("ok", "cancelled", "content_rejected")}


def test_a_refused_sentence_costs_its_turn_and_no_other_call_notices(service: RunningService) -> None:
    answers = ({"text": HOURS}, {"text": HOURS}, {"text": HOURS}, ENDS)
    before = failures(service)

    async def all_callers() -> list[Held]:
        for kind, (_, word) in REFUSED.items():
            service.sandbox.stage.faults.add(Fault("openai", kind, times=None, phrase=word))
        try:
            async with asyncio.TaskGroup() as tasks:
                wanted = [talk(phrase, *INNOCENT, replies=answers) for phrase, _ in REFUSED.values()]
                wanted += [talk(*INNOCENT, replies=answers)] * 2
                calls = [tasks.create_task(call(service, each), name="caller") for each in wanted]
        finally:
            service.sandbox.stage.faults.clear()
        return [each.result() for each in calls]

    *struck, innocent, another = service.run(all_callers())

    for each, (phrase, word) in zip(struck, REFUSED.values(), strict=True):
        assert each.said("assistant") == [GREETING, RUSSIAN.refused, HOURS, HOURS, HOURS, GOODBYE]
        assert each.said("user")[0] == phrase
        (refused,) = each.rows("provider.failed")
        assert refused["data"]["answer"] == "refused"
        holding = [word in prompt for prompt in prompts(service, each.call_id)]
        assert holding == sorted(holding, reverse=True), "never sent again"
        assert holding.count(True) <= 2, "preemptively and, with other words, for good"
    assert [other.said("assistant") for other in (innocent, another)] == [[GREETING, HOURS, HOURS, HOURS, GOODBYE]] * 2
    ends = {(each.record["end_reason"], each.record["fault"]) for each in (*struck, innocent, another)}
    assert ends == {("agent_hangup", "none")}
    assert failures(service) == before


@pytest.fixture(scope="module")
def lived(service: RunningService) -> dict[str, Held]:
    """A call for each fault, all at once, and one without any: the caller asks, and the model answers and hangs up."""
    answer = ({"text": HOURS, "tool_calls": END_CALL},)
    to_its_end = score(waits_for_agent(QUIET), says(INNOCENT[0]), waits_for_end(), replies=answer)
    patient = score(waits_for_agent(QUIET), says(INNOCENT[0]), waits_for_agent(1.2), hangs_up(), replies=answer)

    async def all_of_them() -> dict[str, Held]:
        async with asyncio.TaskGroup() as tasks:
            calls = {
                kind: tasks.create_task(call(service, patient if kind in LESS else to_its_end, kind), name=kind)
                for kind in ("none", *WHOLE, *LESS)
            }
        return {kind: each.result() for kind, each in calls.items()}

    return service.run(all_of_them())


def test_every_fault_is_lived_through() -> None:
    assert {*WHOLE, *LESS, *REFUSED} == NAMED["openai"].keys()


@pytest.mark.parametrize("kind", ["none", *WHOLE])
def test_what_a_server_sends_beside_the_answer_costs_the_caller_nothing(lived: dict[str, Held], kind: str) -> None:
    assert lived[kind].said("assistant") == [GREETING, HOURS]
    assert (lived[kind].record["end_reason"], lived[kind].record["fault"]) == ("agent_hangup", "none")
    (generated,) = [row for row in lived[kind].rows("agent.reply_generated") if row["turn"] == 2]
    assert generated["data"]["text"] == HOURS


@pytest.mark.parametrize("kind", LESS)
def test_a_caller_who_gets_less_hears_so(lived: dict[str, Held], kind: str) -> None:
    said, fault = LESS[kind]
    assert [text.strip() for text in lived[kind].said("assistant")] == [GREETING, *said]
    assert (lived[kind].record["end_reason"], lived[kind].record["fault"]) == ("caller_hangup", fault)


def test_no_thought_is_on_the_bill_of_the_voice(lived: dict[str, Held]) -> None:
    def characters(kind: str) -> int:
        billed = [row["data"] for row in lived[kind].rows("provider.used") if row["data"]["provider"] == "cartesia"]
        return sum(data["characters"] for data in billed)

    for kind in ("thinking_tags", "thinking_reasoning_tags", "thinking_field"):
        assert characters(kind) == characters("none"), kind


def test_the_vendor_is_not_taken_for_broken(service: RunningService, lived: dict[str, Held]) -> None:
    assert lived
    assert failures(service) == {}
    with service.client() as http:
        (openai,) = [each for each in http.get("/health").json()["components"] if each["name"] == "openai"]
    assert (openai["status"], openai["breaker"]) == ("ok", "closed")
