"""What of the agent's voice leaves, and when."""

import pytest

from media.playout import Playout
from tests.media.playing import FRAME, LEAD, TELEPHONE, playout_with, released, samples_of, sound


def test_the_lead_leaves_at_once_and_then_a_third_of_it_at_a_time() -> None:
    playout = playout_with(8000)

    pieces = released(playout, 0.13)

    assert [TELEPHONE.samples(piece.audio) for piece in pieces] == [LEAD, 3 * FRAME, 3 * FRAME]
    assert [piece.at_sample for piece in pieces] == [0, 1600, 2080]


@pytest.mark.parametrize(("lead", "frames"), [(0.02, 1), (0.17, 2), (0.2, 3), (1.0, 16)])
def test_a_release_leaves_most_of_the_lead_in_place(lead: float, frames: int) -> None:
    playout = Playout(TELEPHONE, lead)
    playout.add(sound(80000))

    assert {TELEPHONE.samples(piece.audio) for piece in released(playout, 2.0)[1:]} == {frames * FRAME}


def test_what_is_all_that_waits_leaves_alone() -> None:
    playout = playout_with(LEAD)
    assert playout.release(0.0)

    playout.add(sound(FRAME))

    assert playout.release(0.019) is None
    assert playout.next_release(0.0) == pytest.approx(0.02)
    assert playout.release(0.02)


def test_what_leaves_is_what_was_added() -> None:
    playout = playout_with(5000, finished=True)

    pieces = released(playout, 10.0)

    assert b"".join(piece.audio for piece in pieces) == sound(5000)
    assert playout.is_empty


def test_less_than_a_frame_waits_for_more_and_asks_for_no_timer() -> None:
    playout = playout_with(FRAME - 1)

    assert playout.release(0.0) is None
    assert playout.next_release(0.0) is None

    playout.add(sound(1))
    assert samples_of([piece for piece in [playout.release(0.0)] if piece]) == FRAME


def test_a_last_piece_shorter_than_a_frame_leaves_when_nothing_is_added() -> None:
    playout = playout_with(FRAME + 7, finished=True)

    assert samples_of(released(playout, 1.0)) == FRAME + 7


def test_sound_after_a_silence_is_placed_where_it_will_be_heard() -> None:
    playout = playout_with(FRAME)
    playout.release(0.0)

    playout.add(sound(FRAME))
    piece = playout.release(3.0)

    assert piece is not None
    assert piece.at_sample == 24000
    assert playout.ends_at() == pytest.approx(3.02)


@pytest.mark.parametrize("answered_at", [0.0, 0.1, 1.7, 12345.678])
def test_a_timer_set_for_the_next_release_does_not_come_too_early(answered_at: float) -> None:
    """A clock that is a difference of floats falls short of a round number."""
    playout, now = playout_with(160000), 0.0
    for _ in range(300):
        playout.release(now)
        following = playout.next_release(now)
        assert following is not None
        now = (answered_at + following) - answered_at
        assert playout.release(now) is not None
