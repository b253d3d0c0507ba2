"""Rows that another version of the service, or a hand, wrote: each is left out or read in part, and harms no other."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.clock import parse_iso, utc_now
from app.models import TelephoneCall
from app.storage.requests import CallRequest, CallRequestStore
from app.storage.schema import decode_object
from app.storage.webhooks import WebhookInbox
from tests.storage.stores import START, Stores, a_call, a_row, open_stores

pytestmark = pytest.mark.sqlite  # there are no older databases on Postgres

NOW = parse_iso(START)
GARBAGE = ("", "{", "nonsense", "[1, 2]", "5", "null", '"text"', '{"a": ' * 2000)


def put(stores: Stores, table: str, **row: object) -> None:
    """As a stranger writes it."""
    with sqlite3.connect(stores.path, timeout=10) as connection:
        names, places = ", ".join(row), ", ".join("?" * len(row))
        statement = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - the test's own names
        connection.execute(statement, tuple(row.values()))
    connection.close()


@asynccontextmanager
async def with_a_call(folder: Path) -> AsyncIterator[Stores]:
    async with open_stores(folder) as stores:
        await stores.calls.create(a_call())
        yield stores


@pytest.mark.parametrize("written", GARBAGE)
def test_anything_but_an_object_is_read_as_an_empty_one(written: str) -> None:
    assert decode_object(written) == {}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"text": "half a pair \\ud83d"}', {"text": "half a pair ?"}),
        ('{"\\ud83d": [{"a": "\\ude00b"}]}', {"?": [{"a": "?b"}]}),
        ('{"text": "a pair \\ud83d\\ude00, \\u0000, \\\\ud83d"}', {"text": "a pair \U0001f600, \x00, \\ud83d"}),
        ('{"t": NaN, "u": [-Infinity]}', {"t": None, "u": [None]}),
    ],
)
def test_whatever_is_read_can_be_sent_on(written: str, read: dict[str, object]) -> None:
    assert decode_object(written) == read
    assert json.loads(json.dumps(read, ensure_ascii=False, allow_nan=False).encode()) == read


async def test_half_a_pair_in_one_row_costs_the_list_of_calls_nothing(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(metadata={"note": "\ud83d"}))
        found = await stores.calls.get("call-1")
    assert found is not None
    assert found.metadata == {"note": "?"}


@pytest.mark.parametrize("written", GARBAGE)
async def test_a_request_that_cannot_be_read_delays_no_other(tmp_path: Path, written: str) -> None:
    async with with_a_call(tmp_path) as stores:
        requests = CallRequestStore(stores.database)
        put(stores, "call_requests", call_id="call-1", kind="say", data=written, created_at=START)
        await requests.add(CallRequest("call-1", "hangup", {}), NOW)
        taken = await requests.take("worker-a", NOW)
        assert taken == [CallRequest("call-1", "say", {}), CallRequest("call-1", "hangup", {})]
        assert await requests.take("worker-a", NOW) == []


@pytest.mark.parametrize("written", [*GARBAGE, '{"sip.callID": 5}', '{"sip.phoneNumber": "+7"}'])
async def test_a_caller_that_cannot_be_read_delays_no_other(tmp_path: Path, written: str) -> None:
    async with with_a_call(tmp_path) as stores:
        inbox = WebhookInbox(stores.database)
        caller = {"event": "participant_joined", "room": "call_1", "room_sid": "RM_1", "identity": "sip_1"}
        put(stores, "webhook_inbox", event_id="EV_1", attributes=written, received_at=START, **caller)
        met = TelephoneCall("call_1", "RM_1", "sip_1", {"sip.callID": "SCL_1"})
        await inbox.add("EV_2", "participant_joined", met, utc_now())
        assert await inbox.take(NOW, 10) == [met]


@pytest.mark.parametrize("written", GARBAGE)
async def test_a_row_of_a_journal_that_cannot_be_read_leaves_the_others(tmp_path: Path, written: str) -> None:
    async with with_a_call(tmp_path) as stores:
        stores.journal.append("call-1", 1, a_row(1, text="known"))
        await stores.journal.flush("call-1")
        put(stores, "journal", call_id="call-1", seq=2, at=START, t=1.0, type="caller.words", v=1, data=written)
        rows = await stores.reader.rows("call-1")
        assert [(row.seq, row.data == {}) for row in rows] == [(1, False), (2, True)]


@pytest.mark.parametrize("written", GARBAGE)
async def test_a_call_whose_metadata_cannot_be_read_is_taken_over_as_any_other(tmp_path: Path, written: str) -> None:
    async with with_a_call(tmp_path) as stores:
        with sqlite3.connect(stores.path, timeout=10) as connection:
            connection.execute("UPDATE calls SET metadata = ?, lease_until = 0", (written,))
        connection.close()
        [taken] = await stores.calls.take_over_expired(1e12, "worker-b", until=2e12, alive=[])
        assert (taken.call_id, taken.metadata) == ("call-1", {})
