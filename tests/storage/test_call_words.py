"""Calls are found by what was said in them, by parts of numbers and by ids; and no word outlives its call."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import app.storage.migrations as migrations
from app.storage.call_lists import CallFilter
from app.storage.call_words import as_number, words_of
from app.storage.database import migrate
from tests.storage.stores import ENDING, START, Stores, a_call, a_row, last_row, open_stores
from tests.support.databases import change, look, url_of


def test_words_are_folded_and_each_is_kept_once() -> None:
    said = ["Ещё раз: ЁЛКА, ёлка!", "It's table-4 (four).", "e\u0301te\u0301", "x" * 100]

    assert words_of(said) == sorted(["еще", "раз", "елка", "it", "s", "table", "4", "four", "\u00e9t\u00e9", "x" * 40])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+7 (999) 123-45-67", "+79991234567"), ("4567", "4567"), ("45 67", "4567"), ("alice", None),
        ("4567 table", None), ("+", None), ("", None), ("٤٥", None),
    ],
)  # fmt: skip
def test_what_people_write_between_digits_is_left_out(text: str, number: str | None) -> None:
    assert as_number(text) == number


async def ended(stores: Stores, call_id: str, *said: str, **columns: Any) -> None:
    await stores.calls.create(a_call(call_id, **columns))
    stores.journal.append(call_id, 1, last_row(1), replace(ENDING, said=said))
    await stores.journal.flush(call_id)


async def filled(stores: Stores) -> None:
    await ended(
        stores, "call_a1", "A table for two", "Gladly.", caller_number="+79991234567", called_number="+74950000000"
    )
    await ended(stores, "call_b2", "Столик на двоих", caller_number="+79991112233", called_number="+74950000000")
    await ended(stores, "call_b3", "Ещё один столик, 4567", caller_number="alice", agent="clinic")
    await stores.calls.create(a_call("call_live", caller_number="+79990004567", direction="inbound"))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"text": "table"}, ["call_a1"]),
        ({"text": "TABLE two"}, ["call_a1"]),
        ({"text": "table three"}, []),
        ({"text": "tab"}, ["call_a1"]),
        ({"text": "ta"}, []),
        ({"text": "столик"}, ["call_b3", "call_b2"]),
        ({"text": "стол"}, ["call_b3", "call_b2"]),
        ({"text": "еще"}, ["call_b3"]),
        ({"text": "ЕЩЁ"}, ["call_b3"]),
        ({"text": "4567"}, ["call_live", "call_b3", "call_a1"]),
        ({"text": "столик 4567"}, ["call_b3"]),
        ({"text": "столик 2233"}, ["call_b2"]),
        ({"text": "123-45"}, ["call_a1"]),
        ({"text": "+7 999 123"}, ["call_a1"]),
        ({"text": "call_b"}, ["call_b3", "call_b2"]),
        ({"text": "all_b"}, []),
        ({"text": "ali"}, ["call_b3"]),
        ({"text": "for-two"}, ["call_a1"]),
        ({"text": "%"}, []),
        ({"text": '" OR 1'}, []),
        ({"text": "   "}, []),
        ({"text": "столик", "agent": "clinic"}, ["call_b3"]),
        ({"text": "столик", "fault": "ours"}, []),
        ({"caller": "4567"}, ["call_live", "call_a1"]),
        ({"caller": " 79991234567"}, ["call_a1"]),
        ({"caller": "+4567"}, []),
        ({"caller": "+7 999 123 45 67"}, ["call_a1"]),
        ({"caller": "ice"}, ["call_b3"]),
        ({"called": "0000", "caller": "33"}, ["call_b2"]),
        ({"called": "0000", "status": "active"}, []),
        ({"caller": "4567", "direction": "inbound", "status": "active"}, ["call_live"]),
        ({"end_reason": "caller_hangup", "agent": "clinic"}, ["call_b3"]),
        ({"end_reason": "silence"}, []),
        ({"fault": "none", "status": "active"}, ["call_live"]),
    ],
    ids=str,
)
async def test_a_call_is_found(tmp_path: Path, wanted: dict[str, str], found: list[str]) -> None:
    async with open_stores(tmp_path) as stores:
        await filled(stores)
        pages, cursor = [], None
        while True:
            page, cursor = await stores.calls.list(CallFilter(**wanted), limit=1, cursor=cursor)
            pages += [call.call_id for call in page]
            if cursor is None:
                break
        assert pages == found


@pytest.mark.sqlite
async def test_no_word_of_an_erased_call_is_left_and_no_other_call_loses_one(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await ended(stores, "call_a", "тайна сообщена", "slipper")
        for number in range(200):
            await ended(stores, f"call_{number:03}", "соседи", "сообщена", f"word{number}")
        assert "тайна".encode() in bytes_of(tmp_path)

        await stores.calls.delete("call_a")

        left = bytes_of(tmp_path)
        assert "тайна".encode() not in left
        assert b"slipper" not in left
        assert (await stores.calls.list(CallFilter(text="тайна"), limit=5))[0] == []
        assert len((await stores.calls.list(CallFilter(text="сообщена"), limit=500))[0]) == 200
    assert look(tmp_path / "calls.db", "SELECT count(*) FROM call_texts") == [(200,)]


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


async def test_a_call_that_another_process_owns_gets_no_words(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(fence=2))
        await stores.calls.end_without_row("call-1", 1, replace(ENDING, said=("late words",)))
    assert look(tmp_path / "calls.db", "SELECT count(*) FROM call_words") == [(0,)]


@pytest.mark.sqlite
def test_the_calls_of_an_older_version_are_found_too(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        rows = [
            ("call.created", '{"agent": {"name": "clinic"}}'),
            ("turn.taken", '{"text": "Столик на двоих"}'),
            ("turn.taken", '{"text": 7}'),
            ("turn.taken", "no json"),
            ("agent.finished", '{"heard": "Gladly."}'),
            ("agent.interrupted", '{"heard": "At", "generated": "At nine."}'),
            ("agent.reply_generated", '{"text": "unheard"}'),
        ]
        for call_id, status in (("call_old", "ended"), ("call_live", "active")):
            connection.exec_driver_sql(
                "INSERT INTO calls (call_id, kind, direction, status, created_at, started_at, fault, version,"
                " recording, metadata, fence) VALUES (?, 'room', 'inbound', ?, ?, ?, 'none', '1', 0, '{}', 1)",
                (call_id, status, START, START),
            )
            for seq, (kind, data) in enumerate(rows, 1):
                row = a_row(seq, kind)
                connection.exec_driver_sql(
                    "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (call_id, row.seq, row.at, row.t, row.type, row.turn, row.v, data),
                )
    engine.dispose()

    migrate(url_of(path))

    assert look(path, "SELECT call_id, agent, words FROM calls LEFT JOIN call_texts USING (words_id) ORDER BY 1") == [
        ("call_live", None, None), ("call_old", "clinic", "at gladly двоих на столик"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [("столик", ["call_b3", "call_b2"]), ("стол двоих", ["call_b2"]), ("на", ["call_b2"]), ("дво", ["call_b2"])],
)
async def test_words_that_many_calls_have_are_found_all_the_same(tmp_path: Path, text: str, found: list[str]) -> None:
    async with open_stores(tmp_path) as stores:
        await filled(stores)
        change(  # as many rows as make these words common
            stores.path,
            "WITH RECURSIVE numbers (number) AS (SELECT 1000000 UNION ALL SELECT number + 1 FROM numbers"
            " WHERE number < 1020000), words (word) AS (VALUES ('столик'), ('двоих'), ('на'))"
            " INSERT INTO call_words (word, words_id) SELECT word, number FROM numbers, words",
        )
        page, _ = await stores.calls.list(CallFilter(text=text), limit=5)
        assert [call.call_id for call in page] == found
