"""Eight processes want the same places, dials, money, tokens and calls at once, and none gets too much."""

import asyncio
import json
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

from app.storage.webhooks import WebhookInbox
from tests.storage.hammering import (
    ATTEMPTS,
    CALLERS,
    DAY_LIMIT,
    DIALS,
    EACH_USD,
    KEYS,
    NOW,
    PLACES,
    TOKENS,
)
from tests.storage.stores import a_session, open_stores
from tests.storage.test_webhooks import caller
from tests.support.databases import look, url_of

PROCESSES = 8
REPOSITORY = Path(__file__).parents[2]


async def test_what_there_is_so_much_of_is_given_so_often(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    async with open_stores(tmp_path) as stores:
        for number in range(TOKENS):
            token = f"token-{number}"
            session = a_session(token, expires_at=NOW + timedelta(hours=1))
            await stores.sessions.create(session, token, now=NOW)
        inbox = WebhookInbox(stores.database)
        for number in range(CALLERS):
            await inbox.add(f"EV_{number}", "participant_joined", caller(number), NOW)
    each = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.storage.hammering", url_of(path), f"process-{number}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=REPOSITORY,
        )
        for number in range(PROCESSES)
    ]
    outputs = await asyncio.gather(*(process.communicate(b"\n") for process in each))
    assert [process.returncode for process in each] == [0] * PROCESSES
    got: dict[str, list[str]] = {}
    for output, _ in outputs:
        for kind, names in json.loads(output).items():
            got.setdefault(kind, []).extend(names)

    assert PLACES - KEYS <= len(got["taken"]) <= PLACES  # calls by a key have places too, whenever they came
    assert look(path, "SELECT count(*) FROM calls WHERE call_id LIKE 'web-%'") == [(len(got["taken"]),)]
    assert len(got["paid"]) == DAY_LIMIT / EACH_USD
    assert len(got["placed"]) == DIALS
    assert len(got["keyed"]) == PROCESSES * ATTEMPTS
    assert len(set(got["keyed"])) == KEYS
    assert Counter(got["tokens"]) == Counter({f"token-{number}": 1 for number in range(TOKENS)})
    assert Counter(got["callers"]) == Counter({f"sip_{number}": 1 for number in range(CALLERS)})
    assert max(Counter(got["claimed"]).values()) == 1
    assert set(got["claimed"]) <= set(got["keyed"])
    tomorrow = look(path, "SELECT count(*), sum(spent_usd) FROM spending WHERE agent = ''")
    assert [(rows, round(usd, 6)) for rows, usd in tomorrow] == [(1, PROCESSES * ATTEMPTS * 0.01)]
