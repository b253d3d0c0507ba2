"""Journal rows that wait to be committed: bounded, in order, and honest about what was lost. No I/O."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from app.models import JournalRow
from app.ports.services import CallEnding


class WaitingRow(NamedTuple):
    """A row with what is needed to write it."""

    fence: int
    row: JournalRow
    data: str
    """The row's ``data`` as JSON."""
    ending: CallEnding | None
    """Of the last row of a call."""


class _CallBacklog:
    """The rows of one call; ``settled`` counts those that have left at the head."""

    __slots__ = ("ended", "rows", "settled")

    def __init__(self) -> None:
        self.rows: deque[WaitingRow] = deque()
        self.settled = 0
        self.ended = False


class Backlog:
    """Waiting rows of all calls.

    When ``max_rows_per_call`` or ``max_rows`` wait, a new row is dropped and counted, so that the journal keeps its
    beginning and the gap in ``seq`` shows the loss. The row that ends a call is always kept: it is one per call.
    """

    def __init__(self, *, max_rows_per_call: int = 10_000, max_rows: int = 200_000) -> None:
        self._max_rows_per_call = max_rows_per_call
        self._max_rows = max_rows
        self._calls: dict[str, _CallBacklog] = {}
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[str]:
        """The calls that have rows waiting; the first has waited longest."""
        return iter(self._calls)

    def add(self, call_id: str, waiting: WaitingRow) -> bool:
        """Keep the row; False when there is no place, or when the call's last row waits already."""
        call = self._calls.get(call_id)
        if call is None:
            call = _CallBacklog()
        if call.ended:
            return False
        if waiting.ending is not None:
            call.ended = True
        elif self._rows >= self._max_rows or len(call.rows) >= self._max_rows_per_call:
            return False
        self._calls[call_id] = call
        call.rows.append(waiting)
        self._rows += 1
        return True

    def has_ended(self, call_id: str) -> bool:
        """Whether the call's last row is among the waiting ones."""
        call = self._calls.get(call_id)
        return call is not None and call.ended

    def group(self, max_rows: int) -> dict[str, list[WaitingRow]]:
        """The next rows to commit, without taking them out; each call's in their order."""
        group: dict[str, list[WaitingRow]] = {}
        room = max_rows
        for call_id, call in self._calls.items():
            if room <= 0:
                break
            group[call_id] = list(islice(call.rows, room))
            room -= len(group[call_id])
        return group

    def settle(self, call_id: str, rows: int) -> None:
        """The call's first ``rows`` rows need no more care: they are committed, or never will be."""
        call = self._calls[call_id]
        for _ in range(rows):
            call.rows.popleft()
        call.settled += rows
        self._rows -= rows
        del self._calls[call_id]
        if call.rows:
            self._calls[call_id] = call  # behind the calls whose rows wait longer now

    def mark(self, call_id: str) -> int | None:
        """What :meth:`settled` reaches once the rows that wait now are settled; None when none waits."""
        call = self._calls.get(call_id)
        return None if call is None else call.settled + len(call.rows)

    def settled(self, call_id: str, mark: int) -> bool:
        """Whether the rows up to the mark are settled."""
        call = self._calls.get(call_id)
        return call is None or call.settled >= mark
