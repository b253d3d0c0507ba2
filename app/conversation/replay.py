"""Runs a journal through the core again: the same facts give the same commands."""

from collections.abc import Iterable

from app.conversation.commands import Command
from app.conversation.core import ConversationCore
from app.conversation.events import CallCreated, from_row
from app.conversation.policy import CallPolicy
from app.models import JournalRow


def core_of(created: CallCreated) -> ConversationCore:
    """The core that a call with this first row has."""
    return ConversationCore(CallPolicy.from_dict(created.policy), created.language)


def replay(rows: Iterable[JournalRow]) -> list[tuple[JournalRow, list[Command]]]:
    """Each row with the commands it gives. Raises ValueError when the first row is not ``call.created``."""
    core: ConversationCore | None = None
    answers: list[tuple[JournalRow, list[Command]]] = []
    for row in rows:
        event = from_row(row)
        if core is None:
            if not isinstance(event, CallCreated):
                raise ValueError("a journal begins with call.created")
            core = core_of(event)
        answers.append((row, core.handle(event, row.t) if event is not None else []))
    return answers
