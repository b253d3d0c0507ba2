"""What operators ask reaches the call: at once where it lives, otherwise within a fifth of a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.calls.dispatch.operator_requests import CallRequests
from app.errors import CallNotFound, StorageError
from app.redaction.finder import Finder
from app.service_loops import ServiceLoops
from app.storage.requests import CallRequest
from app.storage.wakeups import Wakeups
from tests.calls.desk import Desk, desk
from tests.calls.fakes import AGENT, World

VIRTUAL_TIME = True


class MemoryRequests:
    """Requests of one owner, and when they were looked for."""

    def __init__(self) -> None:
        self.waiting: list[CallRequest] = []
        self.looks: list[float] = []
        self.fails_with: Exception | None = None
        self.wakeups = Wakeups()

    async def add(self, request: CallRequest, now: datetime) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        self.waiting.append(request)

    async def take(self, owner: str, now: datetime) -> list[CallRequest]:
        self.looks.append(asyncio.get_running_loop().time())
        if self.fails_with is not None:
            raise self.fails_with
        taken, self.waiting = self.waiting, []
        return taken


class Board:
    """A desk with requests."""

    def __init__(self, open_desk: Desk, store: MemoryRequests, requests: CallRequests) -> None:
        self.desk = open_desk
        self.store = store
        self.requests = requests


@asynccontextmanager
async def board(world: World) -> AsyncIterator[Board]:
    store = MemoryRequests()
    async with desk(world) as open_desk, ServiceLoops() as loops:
        requests = CallRequests(store, open_desk.dispatcher, owner="worker-a", loops=loops)  # type: ignore[arg-type]  # the real one is a class over a database
        yield Board(open_desk, store, requests)
        requests.stop()


async def test_a_request_for_a_call_of_this_process_is_carried_out_at_once() -> None:
    async with board(World()) as here:
        call = await here.desk.rings()
        await call.greeted()
        began = call.now
        await here.requests.ask("call-1", "hangup")
        await call.ended()
        assert call.rows_of("operator.hangup_requested")[0].t - began < 0.01
        assert call.body.record.end_reason == "operator_hangup"


async def test_a_request_for_a_call_of_another_process_is_carried_out_within_a_fifth_of_a_second() -> None:
    async with board(World()) as here:
        call = await here.desk.rings()
        await call.greeted()
        began = call.now
        here.store.waiting.append(CallRequest("call-1", "say", {"text": "A colleague is on the way."}))
        row = await call.until("operator.say_requested")
        assert row.t - began <= 0.21
        await call.until("agent.finished", 2)
        assert call.turns()[-1] == ("assistant", "A colleague is on the way.")


async def test_what_is_to_be_said_in_a_call_that_redacts_is_not_stored() -> None:
    redacting = replace(AGENT, redact=("cards",), finder=Finder(("cards",)))
    async with board(World(agent=redacting)) as here:
        call = await here.desk.rings()
        await call.greeted()
        here.store.fails_with = StorageError("nothing is to be stored")
        await here.requests.ask("call-1", "say", text="Your card is 4539578763621486.")
        assert (await call.until("operator.say_requested")).data == {"text": "Your card is [card]."}
        await call.until("agent.finished", 2)
        assert call.turns()[-1] == ("assistant", "Your card is [card].")
        here.store.fails_with = None


async def test_a_bug_in_the_redaction_costs_words_and_not_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    redacting = replace(AGENT, redact=("cards",), finder=Finder(("cards",)))

    def raises(*_: object) -> None:
        raise ValueError("4539578763621486")

    async with board(World(agent=redacting)) as here:
        call = await here.desk.rings()
        await call.greeted()
        monkeypatch.setattr(redacting.finder, "find", raises)
        with capture_logs() as lines:
            await here.requests.ask("call-1", "say", text="Your card is 4539578763621486.")
            await here.requests.ask("call-1", "hangup")
            await call.ended()
    assert [row.data for row in call.rows_of("operator.say_requested")] == [{"text": ""}]
    failed = [line for line in lines if line["event"] == "redaction.failed"]
    assert (failed[0]["type"], failed[0]["error"]) == ("operator.say_requested", "ValueError")
    assert "4539" not in str(lines)


async def test_requests_are_carried_out_in_their_order() -> None:
    async with board(World()) as here:
        call = await here.desk.rings()
        await call.greeted()
        here.store.waiting += [CallRequest("call-1", "say", {"text": "First."}), CallRequest("call-1", "hangup", {})]
        await call.ended()
        asked = [row.type for row in call.rows if row.type.startswith("operator.")]
        assert asked == ["operator.say_requested", "operator.hangup_requested"]


async def test_a_transfer_that_is_asked_for_reaches_the_call() -> None:
    async with board(World()) as here:
        call = await here.desk.rings()
        await call.greeted()
        await here.requests.ask("call-1", "transfer", to="sales")
        assert (await call.until("operator.transfer_requested")).data == {"to": "sales"}


async def test_a_request_before_a_call_runs_comes_after_its_first_row() -> None:
    world = World()
    world.calls.create_takes = 1.0
    async with board(world) as here:
        ringing = asyncio.get_running_loop().create_task(here.desk.rings(), name="rings")
        await asyncio.sleep(0.5)
        here.store.waiting.append(CallRequest("call-1", "hangup", {}))
        await asyncio.sleep(0.3)
        assert here.store.waiting == []
        call = await ringing
        await call.ended()
        assert [row.type for row in call.rows][:2] == ["call.created", "operator.hangup_requested"]
        assert call.body.record.end_reason == "operator_hangup"


async def test_no_process_looks_for_requests_while_it_has_no_call() -> None:
    async with board(World()) as here:
        await asyncio.sleep(5)
        assert here.store.looks == []
        call = await here.desk.rings()
        await call.greeted()
        assert here.store.looks


async def test_a_kind_that_this_version_does_not_know_harms_nothing() -> None:
    async with board(World()) as here:
        call = await here.desk.rings()
        await call.greeted()
        here.store.waiting += [CallRequest("call-1", "sing", {"song": "x"}), CallRequest("gone", "hangup", {})]
        await asyncio.sleep(1)
        await here.requests.ask("call-1", "hangup")
        await call.ended()


async def test_storage_that_fails_for_a_while_delays_the_requests() -> None:
    async with board(World()) as here:
        call = await here.desk.rings()
        await call.greeted()
        here.store.fails_with = StorageError("locked")
        with pytest.raises(StorageError):
            await here.requests.ask("call-1", "hangup")
        await asyncio.sleep(1)
        here.store.fails_with = CallNotFound("there is no such call")
        with pytest.raises(CallNotFound):
            await here.requests.ask("call-2", "hangup")
        here.store.fails_with = None
        await here.requests.ask("call-1", "hangup")
        await call.ended()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("say", {}),
        ("say", {"text": 5}),
        ("say", {"text": " "}),
        ("say", {"words": "Hello"}),
        ("transfer", {"to": ["sales"]}),
        ("sing", {"song": "any"}),
    ],
)
async def test_a_request_of_a_newer_version_that_cannot_be_read_is_left_out(kind: str, data: dict[str, Any]) -> None:
    async with board(World()) as here:
        call = await here.desk.rings()
        await call.greeted()
        here.store.waiting = [CallRequest("call-1", kind, data), CallRequest("call-1", "say", {"text": "Hello."})]
        await call.until("operator.say_requested", 1)
        await asyncio.sleep(1)
        assert len(call.rows_of("operator.say_requested")) == 1


@pytest.mark.parametrize(
    ("kind", "data"), [("hangup", {"reason": 5, "softly": True}), ("say", {"text": "Bye.", "voice": 1})]
)
async def test_the_known_part_of_a_request_of_a_newer_version_is_done(kind: str, data: dict[str, Any]) -> None:
    async with board(World()) as here:
        call = await here.desk.rings()
        await call.greeted()
        here.store.waiting = [CallRequest("call-1", kind, data)]
        await call.until(f"operator.{kind}_requested", 1)
