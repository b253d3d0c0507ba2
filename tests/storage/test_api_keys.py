"""The named keys of the API."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.clock import iso_utc, parse_iso
from app.errors import InvalidRequest
from app.storage.api_keys import PREFIX, ApiKeyStore
from tests.storage.stores import START, open_stores
from tests.support.databases import look

NOW = parse_iso(START)


async def test_a_key_is_found_by_itself_and_by_its_name_and_is_not_stored(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        keys = ApiKeyStore(stores.database)
        key = await keys.add("dashboard", ["call", "read"], NOW)
        other = await keys.add("erasing-job", ["erase"], NOW + timedelta(hours=1))
        found, named = await keys.find(key), await keys.named("dashboard")
        strangers = [await keys.find(wrong) for wrong in (key[:-1], key + "x", key.upper(), "", PREFIX, "\ud800")]
        listed = await keys.all()
        stored = str(look(tmp_path / "calls.db", "SELECT * FROM api_keys"))

    assert found is not None
    assert (found.name, found.scopes, found.created_at) == ("dashboard", {"read", "call"}, iso_utc(NOW))
    assert named == found
    assert strangers == [None] * 6
    assert [each.name for each in listed] == ["dashboard", "erasing-job"]
    assert key.startswith(PREFIX)
    assert key not in stored
    assert other not in stored
    assert found.key_hash in stored


async def test_a_revoked_key_is_nobodys_and_a_new_one_of_that_name_has_another_mark(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        keys = ApiKeyStore(stores.database)
        key = await keys.add("dashboard", ["read"], NOW)
        before = await keys.named("dashboard")
        revoked = [await keys.revoke("dashboard"), await keys.revoke("dashboard")]
        gone = await keys.find(key), await keys.named("dashboard")
        await keys.add("dashboard", ["read"], NOW)
        after = await keys.named("dashboard")

    assert revoked == [True, False]
    assert gone == (None, None)
    assert before is not None
    assert after is not None
    assert before.mark != after.mark


@pytest.mark.parametrize("name", ["", "Dashboard", "a b", "-a", "x" * 41, "a:b", "ключ", "operator"])
async def test_a_name_that_the_audit_or_a_cookie_could_mistake_is_refused(tmp_path: Path, name: str) -> None:
    async with open_stores(tmp_path) as stores:
        with pytest.raises(InvalidRequest):
            await ApiKeyStore(stores.database).add(name, ["read"], NOW)


async def test_a_name_is_given_once_and_a_key_may_do_something(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        keys = ApiKeyStore(stores.database)
        await keys.add("a", ["read"], NOW)
        with pytest.raises(InvalidRequest, match="there is a key 'a' already"):
            await keys.add("a", ["erase"], NOW)
        with pytest.raises(InvalidRequest, match="a key needs a scope"):
            await keys.add("b", [], NOW)
        [key] = await keys.all()
    assert key.scopes == {"read"}
