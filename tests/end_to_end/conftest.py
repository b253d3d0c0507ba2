"""Calls in real time mostly wait, so several are held at once; the order says which are begun first."""

import pytest

_LONGEST_FIRST = (
    "test_without_keys.py",
    "test_bad_input.py",
    "test_vendor_trouble.py",
    "test_tools.py",
    "test_operator.py",  # short, and second of the longest: a process is given its first two files together
    "test_workers.py",
    "test_calls.py",
    "test_media_trouble.py",
    "test_processes.py",
)
"""A file is one process's from its beginning to its end; one that began last would have the others wait for it."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of all tests those of this folder, among themselves."""

    def place(item: pytest.Item) -> int:
        name = item.path.name
        return _LONGEST_FIRST.index(name) if name in _LONGEST_FIRST else len(_LONGEST_FIRST)

    items.sort(key=place)
