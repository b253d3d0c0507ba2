"""The seal of a call: a hash over all rows of its journal, so that a change made later is found.

Each stored row has a SHA-256 over itself and the hash of the row before it; the first row has the call's id in place of
the latter. The hash of the last row is the seal of the call. An operator who keeps it somewhere else can check that the
journal is as it was when the call ended: a program that can write the database can also make new hashes, but not the
old seal.

The words of a call may be erased before the rest of it. So the hash of a row that holds words covers not its ``data``
but a hash of it with a random salt. When the words are erased, that hash stays and the salt goes: the seal still proves
all other rows and what is left of this one except its ``data``, and nobody can find the words by trying.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from app.journal.wordless import without_words

_SHOWN = 10
"""How many wrong rows are named one by one."""
_UNSEALED = "rows {} to {} have no hash: nobody can say whether they are as they were"
"""Of the first rows of a call: a version without seals wrote them."""
_WITH_SALT = "salted"


class SealedRow(NamedTuple):
    """A row of a journal as it is stored, whatever another program made of it."""

    seq: int
    at: object
    t: object
    type: object
    turn: object
    v: object
    data: object
    """JSON, in the very characters that were written."""
    hash: object = None
    """Hexadecimal; None in rows of versions that had no seals."""
    salt: str | None = None
    """Random; None in rows that hold no words, whose words are erased, or which a version without salts wrote."""
    data_hash: str | None = None
    """Of ``data`` as it was before its words were erased, see :func:`data_hash`; None if they were not."""


def row_hash(previous: str, row: SealedRow) -> str:
    """SHA-256, hexadecimal, of the hash before and the fields of the row, one a line, in UTF-8.

    The order is ``seq``, ``at``, ``t``, ``type``, ``turn``, ``v``, ``data``. ``t`` is the shortest decimal number that
    reads as the same float, with at least one decimal place; a row without a turn has an empty line. A row with a salt
    has a first line ``salted``, and its :func:`data_hash` in place of ``data``.
    """
    t = float(row.t) if isinstance(row.t, int | float) else row.t
    turn = "" if row.turn is None else row.turn
    beginning = (previous, row.seq, row.at, t, row.type, turn, row.v)
    if row.salt is None and row.data_hash is None:
        return _sha256(*beginning, row.data)
    return _sha256(_WITH_SALT, *beginning, row.data_hash or data_hash(row.salt, row.data))


def data_hash(salt: object, data: object) -> str:
    """SHA-256, hexadecimal, of a salt and the ``data`` of a row, one a line."""
    return _sha256(salt, data)


def _sha256(*lines: object) -> str:
    return hashlib.sha256("\n".join(map(str, lines)).encode(errors="surrogatepass")).hexdigest()


def problems(call_id: str, rows: Sequence[SealedRow], seal: str | None, *, words_are_erased: bool = False) -> list[str]:
    """What is wrong with the journal of a call that has ended, a sentence each; nothing if it is as it was written.

    ``rows`` are in the order of ``seq``. ``seal`` is the one from the call's record, or one that was kept elsewhere.
    ``words_are_erased`` is whether the record says that the words of the call were erased.
    """
    first = next((number for number, row in enumerate(rows) if row.hash is not None), len(rows))
    found = [_UNSEALED.format(rows[0].seq, rows[first - 1].seq)] if first else []
    previous, last_seq = call_id, rows[first - 1].seq if first else 0
    for number, row in enumerate(rows[first:], first + 1):
        follower = rows[number] if number < len(rows) else None
        if row_hash(previous, row) == row.hash:
            previous = str(row.hash)
        else:
            problem, previous = _named(previous, row, follower, rows, last_seq)
            found.append(problem)
        if row.data_hash is not None and (wrong := _wrong_erasure(row, words_are_erased)):
            found.append(wrong)
        last_seq = row.seq
    if seal is None:
        found.append("the call has no seal: it ended without a last row, or in a version that had no seals")
    elif previous != seal:
        found.append("the seal is not the hash of the last row: rows are missing at the end, or all were made anew")
    return [*found[:_SHOWN], *([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])]


def _wrong_erasure(row: SealedRow, is_told: bool) -> str | None:
    """Why the words of this row are not gone as the service erases them; None if they are."""
    if not is_told:
        return f"the words of row {row.seq} were taken away, although the record says nothing of an erasure"
    try:
        data = json.loads(str(row.data))
        is_wordless = data == without_words(str(row.type), data)
    except (ValueError, AttributeError, RecursionError):
        is_wordless = False
    return None if is_wordless else f"row {row.seq} was changed: it has words, although they were erased"


def _named(
    previous: str, row: SealedRow, follower: SealedRow | None, rows: Sequence[SealedRow], last_seq: int
) -> tuple[str, str]:
    """What happened to a row whose hash is wrong, and the hash that the row after it goes on from."""
    if follower is not None and row_hash(previous, follower) == follower.hash:
        return f"row {row.seq} was added", previous
    made = row_hash(previous, row)
    if follower is not None and row_hash(made, follower) == follower.hash:
        return f"the hash of row {row.seq} was changed", made
    kept = str(row.hash)
    if row.seq > last_seq + 1:
        missing = f"row {last_seq + 1} is" if row.seq == last_seq + 2 else f"rows {last_seq + 1} to {row.seq - 1} are"
        return f"{missing} missing before row {row.seq}", kept
    moved = next((other for other in rows if row_hash(previous, other._replace(seq=row.seq)) == other.hash), None)
    if moved is not None:
        return f"row {row.seq} was changed: what was written there stands in row {moved.seq} now", kept
    return f"row {row.seq} was changed", kept
