"""The plans by which pages are read, and the cursors that lead from one to the next."""

import base64
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from app.errors import InvalidRequest
from app.ports.services import CallEnding
from app.storage.call_lists import CallFilter, decode_cursor, encode_cursor, list_statement
from app.storage.database import migrate
from tests.storage.stores import END, START, a_call, open_stores
from tests.support.databases import look, url_of

VALUES = {
    "status": "ended",
    "direction": "inbound",
    "caller": "+71",
    "called": "+79",
    "since": START,
    "until": "2026-11-24T10:00:00.000Z",
}
FILTERS = [
    CallFilter(**{name: value for (name, value), used in zip(VALUES.items(), chosen, strict=True) if used})
    for chosen in product((False, True), repeat=len(VALUES))
]


def _cursor(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "garbage",
        "%%%%",
        "ключ",
        _cursor(None),
        _cursor([]),
        _cursor([START]),
        _cursor([START, 7]),
        _cursor([7, "call-1"]),
        _cursor(["yesterday", "call-1"]),
        _cursor(["2026-11-22", "call-1"]),
        _cursor(["9999-12-31T23:59:59-23:00", "call-1"]),
        _cursor([START, "half a pair \ud83d"]),
        _cursor([START, "call-1", "more"]),
        _cursor({"started_at": START, "call_id": "call-1"}),
        base64.urlsafe_b64encode(b"[" * 20_000).decode(),
        encode_cursor(START, "call-1")[:-3],
        encode_cursor(START, "call-1") + "AAAA",
    ],
)
def test_a_forged_cursor_is_an_invalid_request(forged: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_cursor(forged)


def test_a_cursor_leads_back_to_its_call() -> None:
    assert decode_cursor(encode_cursor(START, "call-ё")) == (START, "call-ё")


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "calls.db"
    migrate(url_of(path))
    return path


def plan_of(path: Path, wanted: CallFilter, after: tuple[str, str] | None) -> str:
    statement = list_statement(wanted, limit=51, after=after).compile(
        dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
    )
    return "\n".join(row[-1] for row in look(path, f"EXPLAIN QUERY PLAN {statement}"))


@pytest.mark.sqlite
@pytest.mark.parametrize("after", [None, (START, "call-1")], ids=["first page", "later page"])
def test_every_combination_of_filters_is_read_from_its_own_index_in_order(
    empty_database: Path, after: tuple[str, str] | None
) -> None:
    for wanted in FILTERS:
        plan = plan_of(empty_database, wanted, after)
        used = [name for name in ("status", "direction", "caller", "called") if getattr(wanted, name) is not None]

        assert plan.startswith(f"SEARCH calls USING INDEX calls_by_{'_'.join(used) or 'start'} ("), wanted
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan


@pytest.mark.sqlite
def test_leaving_out_the_calls_that_check_the_service_takes_no_other_index(empty_database: Path) -> None:
    plan = plan_of(empty_database, CallFilter(direction="web", synthetic=False), None)

    assert plan.startswith("SEARCH calls USING INDEX calls_by_direction ("), plan


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "searched",
    [
        {"fault": "ours"},
        {"agent": "clinic", "end_reason": "silence"},
        {"caller": "4567"},
        {"text": "table 4567"},
        {"unanswered": True, "late": True, "status": "ended", "synthetic": False},
        {"synthetic": True},
        {"failed": True},
        {"text": "table", "status": "ended", "called": "+79", "fault": "ours"},
    ],
    ids=str,
)
@pytest.mark.parametrize("after", [None, (START, "call-1")], ids=["first page", "later page"])
def test_every_other_filter_reads_the_index_by_start_and_sorts_nothing(
    empty_database: Path, searched: dict[str, Any], after: tuple[str, str] | None
) -> None:
    plan = plan_of(empty_database, CallFilter(**searched), after)

    assert plan.startswith("SEARCH calls USING INDEX calls_by_start ("), plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.sqlite
def test_the_worst_calls_of_a_time_are_found_in_the_index_by_start_alone(empty_database: Path) -> None:
    wanted = CallFilter(worst_first=True, since="2026-11-29", until="2026-11-30", agent="clinic", synthetic=False)
    plan = plan_of(empty_database, wanted, None)

    assert "SEARCH calls USING COVERING INDEX calls_by_start (" in plan, plan
    assert "SCAN calls" not in plan


async def test_the_worst_calls_come_first_and_calls_without_trouble_not_at_all(tmp_path: Path) -> None:
    troubles = {
        "fine": (0, 0, "none"),
        "late": (0, 3, "none"),
        "later": (0, 5, "caller"),
        "failed": (0, 1, "provider:openai"),
        "ignored": (1, 0, "none"),
        "ignored twice": (2, 0, "none"),
        "of an older version": (None, None, "none"),
    }
    async with open_stores(tmp_path) as stores:
        for name, (unanswered, late, fault) in troubles.items():
            await stores.calls.create(a_call(call_id=name))
            summary = {"unanswered": None if unanswered is None else {"count": unanswered}, "late": late}
            ending = CallEnding(
                ended_at=END, duration_seconds=1.0, end_reason="caller_hangup", fault=fault, summary=summary
            )
            await stores.calls.end_without_row(name, 1, ending)
        worst, cursor = await stores.calls.list(CallFilter(worst_first=True), limit=4)

    assert [call.call_id for call in worst] == ["ignored twice", "ignored", "failed", "later"]
    assert cursor is None
