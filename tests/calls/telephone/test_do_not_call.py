"""The do-not-call list, as operators and callers change it."""

from pathlib import Path

import pytest

from app.calls.telephone.do_not_call import DoNotCallList
from app.clients.http_tools import NO_VALUES
from app.errors import InvalidRequest, NumberNotListed, ProviderUnavailable
from app.storage.do_not_call import DoNotCallStore
from tests.storage.stores import open_stores

OURS = "+74950000000"


async def test_a_number_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        numbers = DoNotCallList(DoNotCallStore(stores.database), lambda: OURS)
        added = {
            (await numbers.add(written)).number for written in ("+7 916 123-45-67", "8 (916) 1234567", "79161234567")
        }
        page, cursor = await numbers.page(limit=1, cursor=None)
        await numbers.remove("9161234567")
        with pytest.raises(NumberNotListed):
            await numbers.remove("+79161234567")

    assert added == {"+79161234567"}
    assert [entry.number for entry in page] == ["+79161234567"]
    assert cursor is None


async def test_pages_have_a_cursor(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        numbers = DoNotCallList(DoNotCallStore(stores.database), lambda: OURS)
        for last in range(3):
            await numbers.add(f"+7916123456{last}")
        first, cursor = await numbers.page(limit=2, cursor=None)
        second, end = await numbers.page(limit=2, cursor=cursor)

    assert [entry.number[-1] for entry in (*first, *second)] == ["0", "1", "2"]
    assert end is None


async def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        numbers = DoNotCallList(DoNotCallStore(stores.database), lambda: OURS)
        with pytest.raises(InvalidRequest):
            await numbers.add("anonymous")

    assert numbers.tool_for("anonymous") is None


async def test_where_home_is_not_known_a_number_needs_its_country(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        numbers = DoNotCallList(DoNotCallStore(stores.database), lambda: None)
        with pytest.raises(InvalidRequest, match="country's code"):
            await numbers.add("8 916 123-45-67")
        assert (await numbers.add("+7 916 123-45-67")).number == "+79161234567"
        assert (await numbers.add("79161234567", "caller")).number == "+79161234567"


async def test_the_tool_puts_the_number_of_its_call_on_the_list(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        numbers = DoNotCallList(DoNotCallStore(stores.database), lambda: OURS)
        tool = numbers.tool_for("89161234567")
        assert tool is not None
        answer = await tool.call({}, call_id="call-1", tool_call_id="1", values=NO_VALUES)
        page, _ = await numbers.page(limit=10, cursor=None)

    assert answer.ok
    assert [(entry.number, entry.added_by) for entry in page] == [("+79161234567", "caller")]


async def test_a_database_that_fails_is_a_tool_that_fails(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        numbers = DoNotCallList(DoNotCallStore(stores.database), lambda: OURS)
        tool = numbers.tool_for("89161234567")
        await stores.database.write(lambda connection: connection.exec_driver_sql("DROP TABLE do_not_call"))
        assert tool is not None
        with pytest.raises(ProviderUnavailable):
            await tool.call({}, call_id="call-1", tool_call_id="1", values=NO_VALUES)
