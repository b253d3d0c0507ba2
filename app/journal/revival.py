"""Rebuilds the core of a call from its journal, as it was when the process of the call died.

::

    rows ──► core, with all it remembered ──► another process goes on with it
         ──► decisions of the last moment, whose rows were never committed

The same events give the same core (see :mod:`app.journal.replay`), so nothing has to be stored beside the journal. Rows
are committed in groups, so up to 50 ms of the end of a journal may be missing. For the heir they have not happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.opening_events import ConsentAnswered
from app.conversation.phases import CallPhase
from app.conversation.states import RefusedTransition
from app.journal.readable_rows import UNREADABLE, is_readable
from app.journal.replay import core_of, created_of, is_decision
from app.models import JournalRow


class NotRevivable(Exception):
    """The journal does not give a core that can go on with the call."""


@dataclass(frozen=True, slots=True)
class Revival:
    """A call, as its journal has it."""

    rows: tuple[JournalRow, ...]
    created: ev.CallCreated
    core: ConversationCore
    undecided: tuple[ev.Event, ...]
    """Decisions that follow from the last rows and have no rows of their own yet; the heir writes them."""
    ending: ev.CallEnded | None
    """What the core had decided the end of the call to be, if it had."""

    @property
    def t(self) -> float:
        """The time of the last row, in seconds since the call was created."""
        return self.rows[-1].t

    @property
    def answered_t(self) -> float | None:
        """When the call was answered; None while it rings."""
        for row in self.rows:
            if row.type == ev.CallAnswered.type:
                since: float | None = row.data.get("since_t")
                return row.t if since is None else since
        return None

    @property
    def has_consent(self) -> bool:
        """Whether the caller has agreed to be recorded."""
        return any(row.type == ConsentAnswered.type and row.data.get("agreed") for row in self.rows)


class Revivor:
    """Runs a journal through a core, row by row, so that a long one need not be run in one go."""

    def __init__(self, rows: Sequence[JournalRow]) -> None:
        """Raises NotRevivable when the journal does not begin as one."""
        self._rows = tuple(rows)
        try:
            self._created = created_of(rows)
            self._core = core_of(self._created)
        except UNREADABLE as error:
            raise NotRevivable(str(error)) from error
        self._place = 0
        self._pending: list[ev.Event] = []
        self._ending: ev.CallEnded | None = None

    def run(self, rows: int) -> bool:
        """Run up to so many rows; returns whether more are left. Raises NotRevivable.

        A row that this version cannot read, or whose type it does not know, is passed over.
        """
        end = self._place + rows
        try:
            for row in self._rows[self._place : end]:
                event = ev.from_row(row) if is_readable(row) else None
                if event is not None:
                    self._take(event, row.t)
        except (*UNREADABLE, RefusedTransition) as error:
            raise NotRevivable(type(error).__name__) from error
        self._place = end
        return end < len(self._rows)

    def _take(self, event: ev.Event, t: float) -> None:
        if is_decision(event):
            if event in self._pending:
                self._pending.remove(event)
            return
        commands = self._core.handle(event, t)
        self._pending = [command.event for command in commands if isinstance(command, cmd.Record)]
        for command in commands:
            if isinstance(command, cmd.EndCall):
                self._ending = ev.CallEnded(command.reason, command.fault)

    def result(self) -> Revival:
        """The call, when all rows have been run. Raises NotRevivable."""
        if self._core.phase is CallPhase.ENDED and self._ending is None:
            raise NotRevivable("the call has ended")
        return Revival(self._rows, self._created, self._core, tuple(self._pending), self._ending)


def revive(rows: Sequence[JournalRow]) -> Revival:
    """The call of these rows. Raises NotRevivable."""
    revivor = Revivor(rows)
    revivor.run(len(rows))
    return revivor.result()
