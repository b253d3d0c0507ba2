import hashlib
from collections.abc import Callable

import pytest

from app.journal.seal import SealedRow, problems, row_hash

CALL = "call-1"
Rows = list[SealedRow]


def chain(rows: Rows, call_id: str = CALL) -> Rows:
    """The rows with their hashes, as the service writes them."""
    sealed: Rows = []
    previous = call_id
    for row in rows:
        previous = row_hash(previous, row)
        sealed.append(row._replace(hash=previous))
    return sealed


def a_journal(length: int = 6) -> Rows:
    at, data = "2026-11-22T10:00:00.000Z", '{"text":"Привет"}'
    return chain([SealedRow(seq, at, seq / 10, "caller.words", seq or None, 1, data) for seq in range(1, length + 1)])


def seal_of(rows: Rows) -> str:
    return str(rows[-1].hash)


def test_the_hash_is_made_as_it_is_documented() -> None:
    row = SealedRow(3, "2026-11-22T10:00:00.000Z", 2, "caller.left", None, 1, '{"a":"я"}')
    written = 'before\n3\n2026-11-22T10:00:00.000Z\n2.0\ncaller.left\n\n1\n{"a":"я"}'
    assert row_hash("before", row) == hashlib.sha256(written.encode()).hexdigest()


def test_a_journal_as_it_was_written_has_no_problem() -> None:
    rows = a_journal()
    assert problems(CALL, rows, seal_of(rows)) == []


def test_a_row_that_was_never_written_is_no_problem() -> None:
    rows = chain([row for row in a_journal() if row.seq != 3])
    assert problems(CALL, rows, seal_of(rows)) == []


def swapped(rows: Rows) -> Rows:
    first, second = rows[2], rows[3]
    return [*rows[:2], second._replace(seq=first.seq), first._replace(seq=second.seq), *rows[4:]]


def inserted(rows: Rows, hash_: str | None) -> Rows:
    """A row in the place of one that was never written."""
    gap = chain([row for row in rows if row.seq != 4])
    return [*gap[:3], rows[3]._replace(data="{}", hash=hash_), *gap[3:]]


CHANGES: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "the words": (lambda rows: [*rows[:2], rows[2]._replace(data="{}"), *rows[3:]], "row 3 was changed"),
    "the time": (lambda rows: [*rows[:2], rows[2]._replace(t=0.31), *rows[3:]], "row 3 was changed"),
    "the turn": (lambda rows: [*rows[:2], rows[2]._replace(turn=None), *rows[3:]], "row 3 was changed"),
    "the type": (lambda rows: [rows[0]._replace(type="a"), *rows[1:]], "row 1 was changed"),
    "the last row": (lambda rows: [*rows[:-1], rows[-1]._replace(data="{}")], "row 6 was changed"),
    "the hash": (lambda rows: [*rows[:2], rows[2]._replace(hash="0" * 64), *rows[3:]], "the hash of row 3 was changed"),
    "no hash": (lambda rows: [*rows[:2], rows[2]._replace(hash=None), *rows[3:]], "the hash of row 3 was changed"),
    "a row gone": (lambda rows: [*rows[:2], *rows[3:]], "row 3 is missing before row 4"),
    "rows gone": (lambda rows: [*rows[:1], *rows[3:]], "rows 2 to 3 are missing before row 4"),
    "the first gone": (lambda rows: rows[1:], "row 1 is missing before row 2"),
    "two swapped": (swapped, "row 3 was changed: what was written there stands in row 4 now"),
    "a row added": (lambda rows: inserted(rows, "0" * 64), "row 4 was added"),
    "a row added without a hash": (lambda rows: inserted(rows, None), "row 4 was added"),
    "the end gone": (lambda rows: rows[:-1], "the seal is not the hash of the last row"),
    "all gone": (lambda _rows: [], "the seal is not the hash of the last row"),
    "all made anew": (lambda rows: chain([row._replace(data="{}") for row in rows]), "the seal is not the hash"),
    "of another call": (lambda rows: chain(rows, "call-2"), "row 1 was changed"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_is_changed_is_found_and_named(what: str) -> None:
    change, named = CHANGES[what]
    rows = a_journal()
    changed = change(rows)
    seal = seal_of(changed if what.startswith("a row added") else rows)
    assert problems(CALL, changed, seal)[0].startswith(named)


def test_one_change_is_one_problem() -> None:
    rows = a_journal()
    for what in ("the words", "the last row", "the hash", "a row gone", "the first gone", "a row added"):
        changed = CHANGES[what][0](rows)
        seal = seal_of(changed if what == "a row added" else rows)
        assert len(problems(CALL, changed, seal)) == 1, what


def test_a_call_that_began_in_a_version_without_seals_is_checked_from_its_first_hash() -> None:
    old, new = a_journal()[:2], chain(a_journal()[2:])
    rows = [*(row._replace(hash=None) for row in old), *new]
    assert problems(CALL, rows, seal_of(new)) == [
        "rows 1 to 2 have no hash: nobody can say whether they are as they were"
    ]


def test_hashes_that_were_taken_away_are_found() -> None:
    rows = a_journal()
    bare = [row._replace(hash=None) for row in rows[:3]]
    assert "row 4 was changed" in problems(CALL, [*bare, *rows[3:]], seal_of(rows))[1]
    assert len(problems(CALL, [row._replace(hash=None) for row in rows], seal_of(rows))) == 2


def test_a_call_without_a_seal_says_so() -> None:
    assert "has no seal" in problems(CALL, a_journal(), None)[0]


def test_many_wrong_rows_are_counted() -> None:
    rows = a_journal(40)
    changed = [row._replace(data="{}") for row in rows]
    found = problems(CALL, changed, seal_of(rows))
    assert len(found) == 11
    assert found[-1].startswith("and ")


def test_values_that_another_program_wrote_are_no_crash() -> None:
    rows = a_journal()
    odd = rows[2]._replace(t="soon", data=b"\xff", turn="\ud800", type=None)
    assert problems(CALL, [*rows[:2], odd, *rows[3:]], seal_of(rows)) == ["row 3 was changed"]
