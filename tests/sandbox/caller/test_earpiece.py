"""The playout model: what is heard, when, and what is not."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sandbox.caller.earpiece import Earpiece, Piece, joined
from sandbox.vendors.encodings import Samples

RATE = 100


def count(first: int, samples: int) -> Samples:
    """Sound whose samples say which they are."""
    return np.arange(first, first + samples, dtype=np.int16)


def drawn(pieces: list[Piece]) -> list[tuple[float, list[int]]]:
    return [(round(piece.at, 6), piece.samples.tolist()) for piece in pieces]


def test_sound_is_played_from_its_arrival_on_at_real_time() -> None:
    earpiece = Earpiece(RATE)
    earpiece.receive(count(0, 4), now=1.0)

    assert drawn(earpiece.take_heard(1.025)) == [(1.0, [0, 1])]
    assert drawn(earpiece.take_heard(1.035)) == [(1.02, [2])]
    assert earpiece.queued_samples == 1
    assert drawn(earpiece.take_heard(9.0)) == [(1.03, [3])]
    assert (earpiece.played_samples, earpiece.received_samples, earpiece.queued_samples) == (4, 4, 0)


def test_what_arrives_early_waits_for_its_turn_and_what_arrives_late_leaves_a_silence() -> None:
    earpiece = Earpiece(RATE)

    follows_silence = [
        earpiece.receive(count(0, 2), now=1.0),
        earpiece.receive(count(2, 2), now=1.001),
        earpiece.receive(count(4, 2), now=2.0),
    ]

    assert follows_silence == [True, False, True]
    assert drawn(earpiece.take_heard(3.0)) == [(1.0, [0, 1]), (1.02, [2, 3]), (2.0, [4, 5])]


def test_what_is_cleared_is_not_heard_and_not_counted() -> None:
    earpiece = Earpiece(RATE)
    earpiece.receive(count(0, 10), now=1.0)

    assert earpiece.clear(1.035) == 3
    earpiece.receive(count(50, 2), now=1.5)

    assert drawn(earpiece.take_heard(2.0)) == [(1.0, [0, 1, 2]), (1.5, [50, 51])]
    assert earpiece.played_samples == 5


def test_a_mark_is_due_when_the_sound_before_it_was_played() -> None:
    earpiece = Earpiece(RATE)
    earpiece.mark("before anything")
    earpiece.receive(count(0, 2), now=1.0)
    earpiece.mark("middle")
    earpiece.receive(count(2, 2), now=1.0)
    earpiece.mark("end")

    earpiece.advance(1.015)
    assert earpiece.take_due_marks() == ["before anything"]
    earpiece.advance(1.025)
    assert earpiece.take_due_marks() == ["middle"]
    earpiece.advance(1.045)
    assert earpiece.take_due_marks() == ["end"]
    assert earpiece.take_due_marks() == []


def test_a_cleared_mark_is_never_due() -> None:
    earpiece = Earpiece(RATE)
    earpiece.receive(count(0, 2), now=1.0)
    earpiece.mark("gone")
    earpiece.clear(1.01)
    earpiece.advance(9.0)

    assert earpiece.take_due_marks() == []


def test_pieces_that_follow_each_other_are_joined() -> None:
    pieces = [Piece(1.0, count(0, 2)), Piece(1.02, count(2, 1)), Piece(2.0, count(3, 1))]

    assert drawn(list(joined(pieces, RATE))) == [(1.0, [0, 1, 2]), (2.0, [3])]


@given(
    st.lists(
        st.tuples(st.floats(0, 0.2), st.one_of(st.just("clear"), st.just("listen"), st.integers(1, 20))), max_size=30
    )
)
def test_every_sample_is_heard_once_or_cleared_and_never_early_or_out_of_order(
    happenings: list[tuple[float, str | int]],
) -> None:
    earpiece, now, sent, arrived_at = Earpiece(RATE), 1.0, 0, {}
    heard: list[Piece] = []
    for pause, what in happenings:
        now += pause
        if isinstance(what, int):
            arrived_at.update(dict.fromkeys(range(sent, sent + what), now))
            earpiece.receive(count(sent, what), now)
            sent += what
        elif what == "clear":
            earpiece.clear(now)
        else:
            heard += earpiece.take_heard(now)
    heard += earpiece.take_heard(now + 100)

    times = [(piece.at + index / RATE, int(value)) for piece in heard for index, value in enumerate(piece.samples)]
    assert times == sorted(times)
    assert len(times) == earpiece.played_samples <= earpiece.received_samples == sent
    assert all(at >= arrived_at[sample] - 1.001 / RATE for at, sample in times)
    assert all(later[0] - earlier[0] >= 0.999 / RATE for earlier, later in itertools.pairwise(times))
