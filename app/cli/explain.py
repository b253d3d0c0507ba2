"""``voice-agent explain``: one call on one page, on the terminal."""

import sys
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from app.cli.call_source import call_source, find_call, told
from app.errors import StorageError
from app.models import JournalRow
from app.observability.printable import printable
from app.settings import load_settings
from app.storage.call_lists import CallFilter
from app.storage.calls import CallRow
from app.storage.lookup import look_up
from routers.explanation import explanation

_STYLES: dict[str, str] = {
    "heading": "bold", "plain": "", "caller": "green", "agent": "cyan", "quiet": "dim", "wrong": "bold red",
}  # fmt: skip
_WIDTH = 140


def explain_command(call_id: str | None, wanted: CallFilter, address: str | None) -> int:
    """Print the call with this id or beginning of one, or the newest that is wanted.

    ``address`` is that of a service; None reads the database of the settings. Returns the exit status: 1 if there is no
    such call.
    """
    source = call_source(address)
    found = told(lambda: find_call(source, call_id, wanted))
    if found is None:
        return 1
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    for line in explanation(found.call, found.rows, found.recording, found.webhooks):
        console.print(Text(line.text, style=_STYLES[line.tone]), soft_wrap=True)
    return 0


_Found = TypeVar("_Found")


def stored_call(call_id: str) -> tuple[CallRow, list[JournalRow]] | None:
    """The call and its rows from the database of the settings. None, with a line on stderr, if there is none."""
    return in_database(look_up, call_id)


def in_database(look: Callable[[str, str], _Found | None], call_id: str) -> _Found | None:
    """What ``look`` finds of the call in the database of the settings. None, with a line on stderr, if nothing."""
    settings = load_settings()
    try:
        found = look(settings.database, call_id)
    except StorageError as error:
        sys.stderr.write(f"{error}\n")
        return None
    if found is None:
        sys.stderr.write(f"There is no call {printable(call_id)} in the database of {settings.data_dir}.\n")
    return found
