"""A vendor's name stands where the vendor is spoken to, and where an operator chooses one: nowhere else."""

import ast
import re

import pytest

from tests.support.sources import python_files, text, tree

NAMES = re.compile(r"deepgram|openai|cartesia|\bflux\b|\bnova\b|\bsonic\b|gpt-", re.IGNORECASE)
OF_VENDORS = ("app/clients/", "app/settings.py", "app/settings_checks.py", "app/cli/checks/")
ALLOWED = {
    "app/observability/logs.py": "the loggers of the vendors' libraries",
    "app/cli/sandbox_process.py": "the settings that lead the service to the sandbox, and what it says without one",
    "app/cli/chat.py": "the key without which the sandbox stands in for the model",
    "app/cli/demo.py": "the settings that lead the service to the sandbox",
    "routers/examples.py": "an answer of /health, as it looks",
}


def names(module: ast.Module) -> set[str]:
    """Vendors' names in identifiers and in strings, docstrings with them."""
    found = set[str]()
    for node in ast.walk(module):
        for value in (getattr(node, field, None) for field in ("id", "attr", "arg", "name", "module", "value")):
            if isinstance(value, str):
                found |= {match.lower() for match in NAMES.findall(value)}
    return found


def test_vendors_are_named_in_their_rooms_alone() -> None:
    found = {
        path
        for path in python_files("app", "routers", "media")
        if not path.startswith(OF_VENDORS) and (names(tree(path)) or NAMES.search(text(path)))
    }

    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('_PROVIDER = "openai"', {"openai"}),
        ("from app.clients.deepgram.client import DeepgramSTTClient", {"deepgram"}),
        ("def of(cartesia): pass", {"cartesia"}),
        ('"""Asks Deepgram."""', {"deepgram"}),
        ('model == "nova" or settings.openai_api', {"nova", "openai"}),
        ("provider = client.provider", set()),
        ('"innovation"', set()),
    ],
)
def test_the_walk_finds_names_wherever_they_stand(source: str, found: set[str]) -> None:
    assert names(ast.parse(source)) == found


def test_nothing_of_a_live_call_reads_settings() -> None:
    readers = {
        path
        for path in python_files("app/calls/live", "app/calls/dispatch")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module == "app.settings"
    }

    assert readers == set()
