"""What Deepgram sends wrongly to one call costs that call no turn, and the others hear nothing of it."""

import asyncio
from collections.abc import Iterator

import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent, Connected
from sandbox.caller.score import says, waits_for_agent, waits_for_end
from sandbox.vendors.deepgram.faults import NAMED
from sandbox.vendors.faults import Fault
from tests.end_to_end.calls import END_CALL, GREETING, QUIET, Held, held, score, speak
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread

QUESTION = "Когда вы открыты?"
GOODBYE = "До свидания!"
HOURS = "Мы работаем с девяти до шести."
SCORE = score(
    waits_for_agent(QUIET),
    says(QUESTION),
    waits_for_agent(QUIET),
    says(GOODBYE),
    waits_for_end(),
    replies=({"text": HOURS}, {"text": GOODBYE, "tool_calls": END_CALL}),
    patience=20,
)
BYSTANDERS = ("B", "C")


@pytest.fixture(scope="module", params=["flux-general-multi", "nova-3"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    data_dir = tmp_path_factory.mktemp("hearing")
    with service_in_thread(
        data_dir, leaping=True, greeting=GREETING, idle_prompts=0, stt_model=request.param
    ) as running:
        yield running


@pytest.fixture(scope="module")
def lived(service: RunningService) -> dict[str, Held]:
    """By the kind of the fault, or the name of a bystander."""

    async def all_of_them() -> dict[str, Held]:
        async with asyncio.TaskGroup() as tasks:
            made = {each: tasks.create_task(_live(service, each), name=each) for each in (*NAMED, *BYSTANDERS)}
        return {each: call.result() for each, call in made.items()}

    return service.run(all_of_them())


async def _live(service: RunningService, struck: str) -> Held:
    def on_event(event: CallerEvent) -> None:
        if isinstance(event, Connected) and struck in NAMED:
            fault = Fault("deepgram", struck, call_id=event.call_id, times=None)
            service.sandbox.stage.faults.add(fault)

    caller = Caller(
        service.url, speak, sandbox_url=service.sandbox.url, api_key=API_KEY, on_event=on_event, longest_call_seconds=90
    )
    async with caller:
        return await held(service, await caller.call(SCORE))


@pytest.mark.parametrize("name", [*NAMED, *BYSTANDERS])
def test_every_turn_is_heard_and_answered(service: RunningService, lived: dict[str, Held], name: str) -> None:
    call = lived[name]
    assert call.said("user") == [QUESTION, GOODBYE]
    assert call.said("assistant") == [GREETING, HOURS, GOODBYE]
    assert (call.record["end_reason"], call.record["fault"]) == ("agent_hangup", "none")
    assert call.rows("provider.failed") == []
    assert [row["data"].get("source", "speech") for row in call.rows("caller.turn_ended")] == ["speech", "speech"]


@pytest.mark.parametrize("name", list(NAMED))
def test_the_fault_did_strike(service: RunningService, lived: dict[str, Held], name: str) -> None:
    call_id = lived[name].call_id
    assert [fault.struck for fault in service.sandbox.stage.faults.listed() if fault.call_id == call_id] == [1]
