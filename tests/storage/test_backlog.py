from app.storage.backlog import Backlog, WaitingRow
from tests.storage.stores import ENDING, a_row, last_row


def waiting(seq: int) -> WaitingRow:
    return WaitingRow(1, a_row(seq), "{}", None)


def ending(seq: int) -> WaitingRow:
    return WaitingRow(1, last_row(seq), "{}", ENDING)


def seqs(group: dict[str, list[WaitingRow]]) -> dict[str, list[int]]:
    return {call_id: [row.row.seq for row in rows] for call_id, rows in group.items()}


def test_a_group_holds_each_calls_oldest_rows_and_the_rest_stays_in_order() -> None:
    backlog = Backlog()
    for seq in (1, 2, 3):
        backlog.add("a", waiting(seq))
        backlog.add("b", waiting(seq))

    assert seqs(backlog.group(5)) == {"a": [1, 2, 3], "b": [1, 2]}
    backlog.settle("a", 3)
    backlog.settle("b", 2)
    assert seqs(backlog.group(5)) == {"b": [3]}
    assert len(backlog) == 1


def test_a_call_that_was_served_goes_behind_those_that_were_not() -> None:
    backlog = Backlog()
    for seq in (1, 2, 3, 4):
        backlog.add("chatty", waiting(seq))
    backlog.add("quiet", waiting(1))
    backlog.settle("chatty", len(backlog.group(2)["chatty"]))

    assert seqs(backlog.group(2)) == {"quiet": [1], "chatty": [3]}


def test_a_full_call_keeps_its_beginning_and_its_end() -> None:
    backlog = Backlog(max_rows_per_call=2)

    assert [backlog.add("a", waiting(seq)) for seq in (1, 2, 3)] == [True, True, False]
    assert backlog.add("b", waiting(1))
    assert backlog.add("a", ending(4))
    assert seqs(backlog.group(10)) == {"a": [1, 2, 4], "b": [1]}


def test_a_full_backlog_takes_only_endings() -> None:
    backlog = Backlog(max_rows=2)
    backlog.add("a", waiting(1))
    backlog.add("b", waiting(1))

    assert not backlog.add("c", waiting(1))
    assert backlog.add("c", ending(2))
    assert list(backlog) == ["a", "b", "c"]


def test_nothing_follows_the_end_of_a_call() -> None:
    backlog = Backlog()
    backlog.add("a", ending(1))

    assert backlog.has_ended("a")
    assert not backlog.add("a", waiting(2))
    assert not backlog.add("a", ending(3))


def test_a_mark_is_settled_when_the_rows_before_it_are() -> None:
    backlog = Backlog()
    assert backlog.mark("a") is None
    backlog.add("a", waiting(1))
    backlog.add("a", waiting(2))
    mark = backlog.mark("a")
    assert mark is not None
    backlog.add("a", waiting(3))

    backlog.settle("a", 1)
    assert not backlog.settled("a", mark)
    backlog.settle("a", 1)
    assert backlog.settled("a", mark)
    backlog.settle("a", 1)
    assert backlog.settled("a", mark)
