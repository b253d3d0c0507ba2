"""One socket to the voice carries all calls: what strikes one of them is not heard by the others."""

import asyncio
from collections.abc import Iterator

import pytest

from sandbox.caller.caller import Caller
from sandbox.caller.earpiece import Piece
from sandbox.caller.events import CallerEvent, Connected
from sandbox.caller.media_format import MediaFormat
from sandbox.caller.score import says, waits_for_agent, waits_for_end
from sandbox.carrier.telephone import Telephone
from sandbox.vendors.faults import Fault
from sandbox.vendors.voice import synthesize
from tests.end_to_end.calls import GREETING, QUIET, SPEED, Held, held, hold, score, speak
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread

REPLY = (
    "Мы работаем каждый день недели с девяти часов утра до восьми часов вечера без перерыва. "
    "В субботу приходите к нам с десяти и до самого обеда. "
    "По праздникам у нас закрыто и телефон не отвечает."
)
SCORE = score(
    waits_for_agent(QUIET),
    says("Когда вы открыты?"),
    waits_for_agent(QUIET),
    says("До свидания!"),
    waits_for_end(),
    replies=({"text": REPLY}, {"text": "До свидания!", "tool_calls": [{"name": "end_call", "arguments": {}}]}),
    patience=20,
)
TELEPHONE = Telephone(MediaFormat("mulaw", 8000))
RATE = 8000

Struck = tuple[str, int]
"""Kind of the fault and the status of its error."""

GROUPS: dict[str, tuple[Struck, ...]] = {
    # as many at once as the breaker does not take for an outage, of those that cost a context
    "harmless": tuple(
        (kind, 0)
        for kind in (
            "garbage",
            "word_times_unequal",
            "word_times_null",
            "word_times_huge",
            "null_data",
            "no_context_id",
            "unknown_context",
            "unknown_type",
            "binary_frame",
            "deep_nesting",
            "long_number",
            "riff_header",
        )
    ),
    "sound": (("error_as_sound", 0), ("wrong_rate", 0), ("wrong_encoding", 0), ("early_done", 0)),
    "chunks": (("broken_base64", 0), ("half_message", 0), ("other_types", 0)),
    "errors": (("error_without_context", 400), ("error_without_context", 503)),
    "socket": (("socket_reset", 0),),
}
HARMLESS = {kind for kind, _ in GROUPS["harmless"]}
CASES = [(name, each) for name, group in GROUPS.items() for each in group]
APART = 7.0
"""Seconds between the groups: one says goodbye, and shows the breaker that all is well, when the next is struck."""
BYSTANDERS = {name: ("B", "C", "D", "E") if name == "socket" else ("B", "C") for name in GROUPS}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    # Without stand-ins: they would speak for a vendor that an earlier call has found down, and no fault would strike.
    alone = {"greeting": GREETING, "idle_prompts": 0, "tts_fallbacks": ("none",)}
    with service_in_thread(tmp_path_factory.mktemp("struck"), leaping=True, **alone) as running:
        running.run(hold(running, score(waits_for_agent(QUIET)), TELEPHONE))
        yield running


@pytest.fixture(scope="module")
def lived(service: RunningService) -> dict[tuple[str, str | Struck], Held]:
    """By group, and the fault or the name of a bystander."""

    async def group(name: str, begins_after: float) -> dict[tuple[str, str | Struck], Held]:
        await asyncio.sleep(begins_after)
        async with asyncio.TaskGroup() as tasks:
            made = {
                each: tasks.create_task(_live(service, each), name=str(each))
                for each in (*GROUPS[name], *BYSTANDERS[name])
            }
        return {(name, each): call.result() for each, call in made.items()}

    async def all_of_them() -> dict[tuple[str, str | Struck], Held]:
        of_one_call = [name for name in GROUPS if name != "socket"]
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(group(name, at * APART), name=name) for at, name in enumerate(of_one_call)]
        calls = await group("socket", 0.0)
        for each in made:
            calls |= each.result()
        return calls

    return service.run(all_of_them())


async def _live(service: RunningService, struck: str | Struck) -> Held:
    def on_event(event: CallerEvent) -> None:
        if isinstance(event, Connected) and not isinstance(struck, str):
            kind, status = struck
            phrase = REPLY[:11]  # whatever else is said first on a slow machine
            fault = Fault("cartesia", kind, call_id=event.call_id, status=status or 400, phrase=phrase)
            service.sandbox.stage.faults.add(fault)

    caller = Caller(
        service.url,
        speak,
        sandbox_url=service.sandbox.url,
        api_key=API_KEY,
        telephone=TELEPHONE,
        on_event=on_event,
        longest_call_seconds=120,
    )
    async with caller:
        return await held(service, await caller.call(SCORE))


def reply_of(call: Held) -> list[Piece]:
    """The sound of the reply in the caller's ear, piece by piece: more than one where there was a gap."""
    first, second = call.report.utterances[:2]
    return [piece for piece in call.report.heard if first.ended_at < piece.at < second.started_at]


def seconds(pieces: list[Piece]) -> float:
    return sum(len(piece.samples) for piece in pieces) / RATE


def plain_seconds() -> float:
    return len(synthesize(REPLY, "ru", RATE, SPEED).pcm) / 2 / RATE


def gaps(pieces: list[Piece]) -> list[float]:
    ends = [piece.at + len(piece.samples) / RATE for piece in pieces]
    return [after.at - end for end, after in zip(ends, pieces[1:], strict=False)]


@pytest.mark.parametrize("group", [name for name in GROUPS if name != "socket"])
@pytest.mark.parametrize("name", ["B", "C"])
def test_the_others_hear_nothing_of_it(lived: dict[tuple[str, str | Struck], Held], group: str, name: str) -> None:
    call = lived[group, name]
    pieces = reply_of(call)
    assert max(gaps(pieces), default=0.0) <= 0.04
    assert seconds(pieces) == pytest.approx(plain_seconds(), rel=0.1)
    assert call.rows("provider.failed") == []
    assert call.said("assistant")[1] == REPLY


@pytest.mark.parametrize(("group", "struck"), CASES, ids=str)
def test_a_struck_caller_hears_the_whole_reply_all_the_same(
    lived: dict[tuple[str, str | Struck], Held], group: str, struck: Struck
) -> None:
    call = lived[group, struck]
    assert call.said("assistant")[1] == REPLY
    failures = call.rows("provider.failed")
    assert [row["data"]["final"] for row in failures] == ([] if struck[0] in HARMLESS else [False])
    assert seconds(reply_of(call)) >= plain_seconds() * 0.9
    assert call.record["end_reason"] == "agent_hangup"


@pytest.mark.parametrize("kind", ["wrong_rate", "wrong_encoding"])
def test_no_more_than_a_second_of_noise_is_heard(lived: dict[tuple[str, str | Struck], Held], kind: str) -> None:
    assert seconds(reply_of(lived["sound", (kind, 0)])) <= plain_seconds() * 1.1 + 1.0


@pytest.mark.parametrize("name", [("socket_reset", 0), *BYSTANDERS["socket"]])
def test_a_lost_socket_cuts_no_sentence(lived: dict[tuple[str, str | Struck], Held], name: str | Struck) -> None:
    call = lived["socket", name]
    assert call.said("assistant")[1] == REPLY
    assert not any(row["data"]["final"] for row in call.rows("provider.failed"))
    assert seconds(reply_of(call)) >= plain_seconds() * 0.9
    assert call.record["end_reason"] == "agent_hangup"
