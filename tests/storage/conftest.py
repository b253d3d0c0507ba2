"""Every test of the storage runs twice: on a SQLite file, and on a real Postgres."""

from collections.abc import Iterator

import pytest

from tests.support.databases import databases

_BACKENDS = ("sqlite", "postgres")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that is marked with the name of one of them runs on that one alone; one without a database runs once."""
    marked = [name for name in _BACKENDS if metafunc.definition.get_closest_marker(name)]
    needs_none = metafunc.module.__name__.rpartition(".")[2] in _WITHOUT
    names = marked or (_BACKENDS[:1] if needs_none else _BACKENDS)
    metafunc.parametrize("backend", names, indirect=True)


_WITHOUT = {"test_backlog", "test_data_folder", "test_knowledge_index", "test_stems"}
"""Modules whose tests have no database."""


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the database that the test uses."""
    databases.are_on_postgres = request.param == "postgres"
    try:
        yield request.param
    finally:
        databases.forget()
        databases.are_on_postgres = False
