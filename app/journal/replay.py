"""Runs a journal through the core again: the same facts give the same commands."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.policy import CallPolicy
from app.journal.readable_rows import is_readable
from app.models import JournalRow

_DECISIONS = (ev.StateChanged, ev.CallerIgnored, ev.TurnTaken, ev.TransferStarted)
"""What a core has decided is among the rows, too; it is compared, and not fed back."""
ENDED_WITHOUT_CORE = ("crashed", "internal_error")
"""End reasons of calls whose core was not asked."""


def core_of(created: ev.CallCreated) -> ConversationCore:
    """The core that a call with this first row has."""
    return ConversationCore(CallPolicy.from_dict(created.policy), created.language)


def replay(rows: Iterable[JournalRow]) -> list[tuple[JournalRow, list[cmd.Command]]]:
    """Each row with the commands it gives. Raises ValueError when the first row is not ``call.created``."""
    core: ConversationCore | None = None
    answers: list[tuple[JournalRow, list[cmd.Command]]] = []
    for row in rows:
        event = ev.from_row(row) if is_readable(row) else None
        if core is None:
            if not isinstance(event, ev.CallCreated):
                raise ValueError("a journal begins with call.created")
            core = core_of(event)
        answers.append((row, core.handle(event, row.t) if event is not None else []))
    return answers


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the core of today decides otherwise than the one that held the call."""

    row: JournalRow
    """Where it shows."""
    then: ev.Event | None
    """What was decided, or begun, in the call; None: nothing of the kind."""
    now: ev.Event | None
    """What is decided today."""


def differences(rows: Iterable[JournalRow]) -> list[Difference]:
    """Where a core of today would have held the call otherwise; empty when it decides all the same.

    A journal keeps what came of the commands, not the commands: decisions, utterances that began, and the end are
    compared. After the first difference the facts are those of another call, so the others may follow from it alone.
    Raises ValueError when the first row is not ``call.created``.
    """
    comparison = _Comparison()
    for row, commands in replay(rows):
        comparison.compare(row, commands)
    return comparison.finish()


class _Comparison:
    """Goes through the rows once, with what is decided today and has not shown in a row yet.

    That may be some rows later: what was heard of a stopped utterance is told, and decided upon, in between.
    """

    def __init__(self) -> None:
        self._expected: list[tuple[JournalRow, ev.Event]] = []
        self._utterances: set[int] = set()
        self._last_fact: JournalRow | None = None
        self._ended = False
        self._found: list[Difference] = []

    def compare(self, row: JournalRow, commands: list[cmd.Command]) -> None:
        event = ev.from_row(row) if is_readable(row) else None
        if isinstance(event, ev.CallEnded):
            self._ended = event.reason not in ENDED_WITHOUT_CORE
        if isinstance(event, _DECISIONS) or (isinstance(event, ev.CallEnded) and self._ended):
            self._decided(row, event)
        elif isinstance(event, ev.AgentReplyStarted) and event.speech not in self._utterances:
            self._found.append(Difference(row, event, None))
        if not isinstance(event, (*_DECISIONS, ev.CallEnded)):
            self._last_fact = row
        for command in commands:
            match command:
                case cmd.Record(decision):
                    self._expected.append((row, decision))
                case cmd.EndCall(reason, fault):
                    self._expected.append((row, ev.CallEnded(reason, fault)))
                case cmd.StartReply(utterance=number) | cmd.Say(utterance=number):
                    self._utterances.add(number)
                case _:
                    pass  # leaves no row of its own

    def finish(self) -> list[Difference]:
        """What was decided last in a call that lives, or whose process died, need not have become a row."""
        for row, decision in self._expected:
            if self._ended or row is not self._last_fact:
                self._found.append(Difference(row, None, decision))
        return sorted(self._found, key=lambda difference: difference.row.seq)

    def _decided(self, row: JournalRow, event: ev.Event) -> None:
        same = next((expected for expected in self._expected if expected[1] == event), None)
        if same is None:
            self._found.append(Difference(row, event, None))
        else:
            self._expected.remove(same)
