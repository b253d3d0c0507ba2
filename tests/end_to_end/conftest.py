"""Calls in real time mostly wait, so several are held at once; the order says which are begun first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import CALLS_ARE_ON_POSTGRES, databases

_LONGEST_FIRST = (
    "test_without_keys.py",
    "test_bad_input.py",
    "test_vendor_trouble.py",
    "test_language_models.py",
    "test_tools.py",
    "test_operator.py",  # short, and second of the longest: a process is given its first two files together
    "test_workers.py",
    "test_calls.py",
    "test_media_trouble.py",
    "test_processes.py",
)
"""A file is one process's from its beginning to its end; one that began last would have the others wait for it."""


@pytest.fixture(autouse=True, scope="module")
def database() -> Iterator[None]:
    """The databases of a module's services: SQLite files, or with ``TESTS_ON=postgres`` those of a real server."""
    databases.are_on_postgres = CALLS_ARE_ON_POSTGRES
    try:
        yield
    finally:
        databases.forget()
        databases.are_on_postgres = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The hook is given the tests of all folders; those of others stay in their order, behind."""

    def place(item: pytest.Item) -> int:
        is_named = item.path.parent == Path(__file__).parent and item.path.name in _LONGEST_FIRST
        return _LONGEST_FIRST.index(item.path.name) if is_named else len(_LONGEST_FIRST)

    items.sort(key=place)
