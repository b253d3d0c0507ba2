"""Journal rows that wait to be committed: bounded, in order, with a count of dropped rows. No I/O of its own."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from app.models import JournalRow
from app.ports.services import CallEnding


class WaitingRow(NamedTuple):
    """A row, and what is needed to write it."""

    fence: int
    row: JournalRow
    data: str
    """The row's ``data`` as JSON."""
    ending: CallEnding | None
    """How the call ended; set for the last row of a call."""


class Disk(Protocol):
    """Where rows wait that memory should not hold: :class:`app.storage.spool.Spool`."""

    def keep(self, call_id: str, waiting: WaitingRow) -> None:
        """Put a row behind those of its call. Never waits."""


class _CallBacklog:
    """The waiting rows of one call; ``settled`` counts the rows removed from its head.

    ``spooled`` is how many are on disk, behind those in memory.
    """

    __slots__ = ("ended", "rows", "settled", "spooled")

    def __init__(self) -> None:
        self.rows: deque[WaitingRow] = deque()
        self.settled = 0
        self.spooled = 0
        self.ended = False

    def __len__(self) -> int:
        return len(self.rows) + self.spooled


class Backlog:
    """The waiting rows of all calls.

    When ``max_rows_per_call`` or ``max_rows`` wait, a new row is dropped and counted. So the journal keeps its
    beginning, and a gap in ``seq`` shows the loss. The row that ends a call is always kept: there is one per call.

    With a ``disk``, rows go there while ``max_in_memory`` are in memory, and so do all later rows of the same call,
    until :meth:`refill` has brought them back.
    """

    def __init__(
        self,
        *,
        max_rows_per_call: int = 10_000,
        max_rows: int = 200_000,
        disk: Disk | None = None,
        max_in_memory: int = 20_000,
    ) -> None:
        self._disk = disk
        self._max_in_memory = max_in_memory
        self._spooled = 0
        self._max_rows_per_call = max_rows_per_call
        self._max_rows = max_rows
        self._calls: dict[str, _CallBacklog] = {}
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[str]:
        """The calls with waiting rows, longest wait first."""
        return iter(self._calls)

    def add(self, call_id: str, waiting: WaitingRow) -> bool:
        """Keep a row; False when there is no room, or when the call's last row already waits."""
        call = self._calls.get(call_id)
        if call is None:
            call = _CallBacklog()
        if call.ended:
            return False
        if waiting.ending is not None:
            call.ended = True
        elif self._rows >= self._max_rows or len(call) >= self._max_rows_per_call:
            return False
        self._calls[call_id] = call
        self._rows += 1
        if self._disk is not None and (call.spooled or self._rows - self._spooled > self._max_in_memory):
            self._disk.keep(call_id, waiting)
            call.spooled += 1
            self._spooled += 1
        else:
            call.rows.append(waiting)
        return True

    def spooled(self, below: int) -> dict[str, int]:
        """How many rows are on disk, of each call that has fewer than ``below`` in memory."""
        if not self._spooled:
            return {}
        calls = self._calls.items()
        return {call_id: call.spooled for call_id, call in calls if call.spooled and len(call.rows) < below}

    def refill(self, call_id: str, rows: Sequence[WaitingRow], missing: int = 0) -> None:
        """Put a call's first rows on disk back into memory; ``missing`` were on disk, and are lost."""
        call = self._calls[call_id]
        call.rows.extend(rows)
        call.spooled -= len(rows) + missing
        call.settled += missing
        self._spooled -= len(rows) + missing
        self._rows -= missing
        if not len(call):
            del self._calls[call_id]

    def has_ended(self, call_id: str) -> bool:
        """Whether the call's last row is waiting."""
        call = self._calls.get(call_id)
        return call is not None and call.ended

    def rows(self, call_id: str) -> list[WaitingRow]:
        """The waiting rows of a call that are in memory."""
        call = self._calls.get(call_id)
        return [] if call is None else list(call.rows)

    def group(self, max_rows: int) -> dict[str, list[WaitingRow]]:
        """The next rows to commit, each call's in order; they stay in the backlog."""
        group: dict[str, list[WaitingRow]] = {}
        room = max_rows
        for call_id, call in self._calls.items():
            if room <= 0:
                break
            if not call.rows:
                continue  # they are on disk
            group[call_id] = list(islice(call.rows, room))
            room -= len(group[call_id])
        return group

    def settle(self, call_id: str, rows: int) -> None:
        """Remove the call's first ``rows`` rows: they are committed, or never will be."""
        call = self._calls[call_id]
        for _ in range(rows):
            call.rows.popleft()
        call.settled += rows
        self._rows -= rows
        del self._calls[call_id]
        if len(call):
            self._calls[call_id] = call  # after the calls whose rows have waited longer

    def mark(self, call_id: str) -> int | None:
        """A mark after the call's waiting rows, for :meth:`settled`; None when none waits."""
        call = self._calls.get(call_id)
        return None if call is None else call.settled + len(call)

    def settled(self, call_id: str, mark: int) -> bool:
        """Whether all rows up to the mark are settled."""
        call = self._calls.get(call_id)
        return call is None or call.settled >= mark
