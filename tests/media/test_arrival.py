"""Where the caller's audio is placed: a line that stalls delays it, a caller who sends nothing leaves a hole."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from media.arrival import ArrivalOrder

RATE = 8000
FRAME = 160
JITTER = 480

Frames = dict[int, int]
"""When each frame was said, and when its first sample came; both in samples."""


def frames(first: int, last: int, *, come_at: float | None = None) -> Frames:
    """20 ms each, said without a break; they come as they are said, or all at once."""
    return {
        number * FRAME: number * FRAME if come_at is None else max(number * FRAME, round(come_at * RATE) - FRAME)
        for number in range(first, last)
    }


def placed(coming: Frames) -> Frames:
    """When each frame was said, and where it was placed."""
    order, where = ArrivalOrder(RATE), {}
    for said, arrival in coming.items():
        where.update(_said(order.place(str(said).encode(), FRAME, arrival)))
    where.update(_said(order.flush()))
    assert list(where) == list(coming)
    assert all(later - earlier >= FRAME for earlier, later in pairwise(where.values()))
    return where


def _said(pieces: Iterable[tuple[int, bytes]]) -> Frames:
    return {int(audio): start for start, audio in pieces}


def late(coming: Frames) -> set[int]:
    """By how much the frames are placed behind where they were said."""
    return {place - said for said, place in placed(coming).items()}


def test_what_comes_in_real_time_is_where_it_came() -> None:
    assert late(frames(0, 100)) == {0}


def test_the_backlog_of_a_stall_fills_the_stall() -> None:
    assert late({**frames(0, 50), **frames(50, 200, come_at=4.0), **frames(200, 300)}) == {0}


def test_a_hole_stays_a_hole() -> None:
    assert late({**frames(0, 50), **frames(150, 250)}) == {0}


def test_a_stall_that_lost_audio_leaves_a_gap_of_that_length() -> None:
    where = placed({**frames(0, 50), **frames(100, 150, come_at=3.0), **frames(150, 250)})

    assert {place - said for said, place in where.items()} == {0}


def test_a_backlog_that_comes_at_twice_real_time_catches_up_too() -> None:
    began, behind = 2.0 * RATE, 25
    slow = {(75 + n) * FRAME: round(began + n * FRAME / 2) for n in range(behind)}
    rest = {
        (75 + behind + n) * FRAME: max((75 + behind + n) * FRAME, round(began + (behind + n) * FRAME / 2))
        for n in range(100)
    }

    assert max(late({**frames(0, 75), **slow, **rest})) <= JITTER


def test_what_was_said_before_the_answer_is_placed_before_it() -> None:
    """A client may send while it waits for the answer; it all comes with the answer."""
    said = {(number - 100) * FRAME: -FRAME + 20 for number in range(100)}

    assert max(map(abs, late({**said, **frames(0, 100)}))) <= FRAME


def test_what_is_held_is_given_back_soon() -> None:
    order, coming = ArrivalOrder(RATE), {**frames(0, 50), **frames(150, 250)}
    held = 0
    for said, arrival in coming.items():
        held += 1 - len(order.place(str(said).encode(), FRAME, arrival))
        assert held <= 0.2 * RATE / FRAME + 1


def test_nothing_has_no_place() -> None:
    order = ArrivalOrder(RATE)

    assert order.place(b"", 0, 100) == []
    assert order.flush() == []


@given(st.lists(st.tuples(st.sampled_from(["talk", "stall", "hole"]), st.integers(1, 150)), max_size=12))
def test_whatever_the_line_does_every_frame_is_about_where_it_was_said(course: list[tuple[str, int]]) -> None:
    coming: Frames = frames(0, 20)
    number = 20
    for what, length in course:
        if what != "hole":
            until = number + length
            coming |= frames(number, until, come_at=until * FRAME / RATE if what == "stall" else None)
        number += length + 20
        coming |= frames(number - 20, number)

    assert all(abs(each) <= JITTER + FRAME for each in late(coming))
