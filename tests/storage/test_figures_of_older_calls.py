"""What the migration makes of calls that an older version has stored."""

import json
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import app.storage.migrations as migrations
from app.storage.database import migrate
from app.storage.figures import FigureStore
from tests.storage.stores import insert_calls, open_stores
from tests.support.databases import look, url_of

pytestmark = pytest.mark.sqlite  # there are no older databases on Postgres

CALL = {
    "call_id": "old", "kind": "room", "direction": "inbound", "status": "ended",
    "created_at": "2026-11-22T10:00:00.000Z", "started_at": "2026-11-22T10:00:00.000Z",
    "answered_at": "2026-11-22T10:00:01.000Z", "duration_seconds": 59.5,
    "end_reason": "silence", "fault": "none", "version": "1", "recording": 0, "metadata": "{}", "fence": 1,
    "agent": "clinic",
    "summary": json.dumps({"unanswered": {"count": 3}, "costs": {"stt": 0.5, "total": 0.75}, "abandoned": "early"}),
}  # fmt: skip


def migrate_to(path: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


async def test_calls_of_an_older_version_are_in_the_figures_and_found_as_unanswered(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    migrate_to(path, "0019")
    rows = [
        CALL,
        {**CALL, "call_id": "broken", "summary": "{", "agent": None},
        {**CALL, "call_id": "live", "status": "active", "end_reason": None, "summary": None},
    ]
    insert_calls(path, rows)
    migrate(url_of(path))
    async with open_stores(tmp_path) as stores:
        found = await FigureStore(stores.database).read("hour", "2026-11-22T10:00:00.000Z", "2026-11-22T11:00:00.000Z")

    assert found.by_agent["clinic"].amounts == {
        "calls": 1, "answered": 1, "talk_seconds": 59.5, "unanswered_turns": 3, "unanswered_calls": 1,
        "end_reason:silence": 1, "fault:none": 1, "direction:inbound": 1, "abandoned:early": 1, "cost:stt": 0.5,
        "cost:total": 0.75,
    }  # fmt: skip
    assert found.by_agent[""].amount("unpriced_calls") == 1
    assert found.total.amount("calls") == 2
    assert look(path, "SELECT call_id, unanswered, late FROM calls ORDER BY call_id") == [
        ("broken", None, None), ("live", None, None), ("old", 3, None),
    ]  # fmt: skip
