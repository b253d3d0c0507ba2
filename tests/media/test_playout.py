"""What is taken back by a cut, and what was heard."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.playout import PlayedAudio, Playout
from tests.media.playing import LEAD, TELEPHONE, playout_with, released, sound

# --- cutting ----------------------------------------------------------------------------------------------------------


def test_a_cut_takes_back_what_has_not_been_played() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)

    playout.cut(0.5)

    assert playout.sent == 4000
    again = released(playout, 1.0, since=1.0)
    assert again[0].audio == sound(LEAD, first=4000)
    assert again[0].at_sample == 8000


def test_a_second_cut_in_silence_changes_nothing() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)
    playout.cut(0.5)

    playout.cut(0.9)

    assert playout.sent == 4000


@pytest.mark.parametrize(("reported", "heard"), [(3600, 3600), (4000, 4000), (4400, 4400), (0, 0)])
def test_the_far_ends_count_corrects_the_estimate(reported: int, heard: int) -> None:
    playout = playout_with(8000)
    released(playout, 0.5)
    playout.cut(0.5)

    playout.correct(reported, 0.55)

    assert playout.is_told
    assert playout.sent == heard
    assert released(playout, 1.0, since=1.0)[0].audio == sound(LEAD, first=heard)


def test_a_far_end_cannot_have_played_more_than_it_was_sent() -> None:
    playout = playout_with(80000)
    released(playout, 0.5)
    sent = playout.sent
    playout.cut(0.5)

    playout.correct(10**9, 0.55)

    assert playout.sent == sent
    assert not playout.is_empty


def test_a_cut_that_is_not_answered_remains_an_estimate() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)

    playout.cut(0.5)

    assert not playout.is_told
    assert playout.answer_due_in(0.6) == pytest.approx(0.4)
    assert playout.answer_due_in(1.1) == 0.0


def test_an_answer_without_a_number_is_not_waited_for_any_more() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)
    playout.cut(0.5)

    playout.correct(None, 0.52)

    assert playout.answer_due_in(0.52) == 0.0
    assert not playout.is_told
    assert playout.sent == 4000


def test_an_answer_at_the_last_moment_still_finds_what_it_takes_back() -> None:
    playout = playout_with(80000)
    released(playout, 1.0)
    playout.take_played(1.0)
    playout.cut(1.0)
    playout.take_played(1.49)

    playout.correct(8000 - 1600, 1.49)

    assert playout.sent == 8000 - 1600


def test_an_answer_after_half_a_second_does_not_count() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)
    playout.cut(0.5)

    playout.correct(3600, 1.01)

    assert playout.sent == 4000
    assert not playout.is_told


def test_a_far_end_that_failed_to_answer_is_not_waited_for_until_it_does() -> None:
    playout = playout_with(80000)
    released(playout, 0.5)
    playout.cut(0.5)
    released(playout, 2.0, since=1.1)

    playout.cut(2.0)
    assert playout.answer_due_in(2.0) == 0.0

    playout.correct(4000, 2.1)
    assert playout.answer_due_in(2.1) == pytest.approx(0.4)


def test_an_answer_that_comes_when_the_voice_goes_on_sets_the_count_right_for_the_next_cut() -> None:
    playout = playout_with(80000)
    released(playout, 0.5)
    playout.cut(0.5)
    released(playout, 1.0, since=0.6)
    playout.correct(3600, 1.0)  # it had played 400 less than was believed, and those are lost

    playout.cut(1.0)
    playout.correct(3600 + 3100, 1.05)  # of 3200 that were to be heard since 0.6 it has played 3100

    assert playout.sent == 4000 + 3100
    assert playout.is_told


def test_answers_belong_to_the_cuts_in_their_order() -> None:
    playout = playout_with(80000)
    released(playout, 0.5)
    playout.cut(0.5)
    released(playout, 0.55, since=0.51)
    playout.cut(0.55)

    playout.correct(3900, 0.56)
    assert not playout.is_told

    playout.correct(3900 + 300, 0.6)
    assert playout.is_told
    assert playout.sent == 4000 + 300


def test_the_discarded_end_of_an_earlier_utterance_is_not_counted_for_the_next_one() -> None:
    """The far end's mark came early, so the next utterance began while 800 samples were still to be played."""
    playout = playout_with(1600, finished=True)
    playout.release(0.0)
    playout.begin()
    playout.add(sound(8000, first=20000))
    playout.release(0.1)  # room for 800 samples

    playout.cut(0.1)
    assert playout.sent == 0
    playout.correct(700, 0.12)
    again = playout.release(0.2)

    assert again is not None
    assert again.audio == sound(LEAD, first=20000)
    playout.cut(0.3)
    playout.correct(700 + 800, 0.32)
    assert playout.sent == 800
    taken = playout.take_played(1.0, everything=True)
    assert b"".join(piece.audio for piece in taken) == sound(800) + sound(800, first=20000)
    assert [piece.at_sample for piece in taken] == [0, 1600]


def test_a_new_utterance_begins_with_nothing() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)
    playout.cut(0.5)

    playout.begin()

    assert playout.is_empty
    assert playout.sent == 0
    assert playout.answer_due_in(0.5) == 0.0
    assert playout.next_release(0.5) is None


# --- what was heard ---------------------------------------------------------------------------------------------------


def test_audio_is_given_to_the_recording_in_short_pieces_when_it_will_hardly_be_corrected() -> None:
    playout = playout_with(1600, finished=True)
    released(playout, 1.0)
    taken: list[bytes] = []
    whens: list[float] = []
    assert playout.take_played(0.56) == []
    while (due := playout.next_played()) is not None:
        taken += [piece.audio for piece in playout.take_played(due)]
        whens.append(due)
    assert whens == pytest.approx([0.61, 0.67, 0.73, 0.75])
    assert b"".join(taken) == sound(1600)


def test_what_a_very_late_answer_takes_back_is_played_and_recorded_again() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)
    playout.cut(0.5)  # 4000 samples were played, as far as is known
    first = playout.take_played(0.99)
    assert b"".join(piece.audio for piece in first) == sound(3520)
    playout.correct(3000, 0.99)
    assert playout.sent == 3000
    released(playout, 1.2, since=1.0)
    again = b"".join(piece.audio for piece in playout.take_played(2.0))
    assert len(again) > 2000
    assert again == sound(len(again) // 2, first=3000)


def test_everything_heard_is_returned_at_the_end_of_the_call() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)
    playout.cut(0.5)

    taken = playout.take_played(0.5, everything=True)

    assert b"".join(piece.audio for piece in taken) == sound(4000)


# --- any order --------------------------------------------------------------------------------------------------------


@dataclass
class Telephone:
    """Plays what it gets, at once and in real time, and keeps what was heard; ``late`` seconds behind the sender."""

    late: float
    heard: bytearray = field(default_factory=bytearray)
    queue: bytes = b""
    at: float = 0.0
    rest: float = 0.0

    def play(self, now: float) -> None:
        samples = min(len(self.queue) // 2, int(max(0.0, now - self.late - self.at) * 8000 + 1e-6))
        self.heard += self.queue[: 2 * samples]
        self.queue = self.queue[2 * samples :]
        self.at = max(self.at, now - self.late) if not self.queue else self.at + samples / 8000

    def receive(self, audio: bytes, now: float) -> None:
        self.play(now)
        if not self.queue:
            self.at = max(self.at, now)
        self.queue += audio

    def clear(self, now: float) -> int:
        self.play(now)
        self.queue = b""
        return len(self.heard) // 2


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "wait", "wait", "wait", "pause", "finish"]), st.integers(min_value=1, max_value=3000)
    ),
    max_size=40,
)


@settings(max_examples=100)
@given(STEPS, st.sampled_from([0.0, 0.04, 0.1]), st.booleans())
def test_in_any_order_the_caller_hears_every_sample_once_and_positions_never_overlap(
    steps: list[tuple[str, int]], late: float, answers: bool
) -> None:
    playout, telephone, now, added = Playout(TELEPHONE, 0.2), Telephone(late), 0.0, 0
    taken: list[PlayedAudio] = []
    finished = False
    for step, amount in steps:
        match step:
            case "add" if not finished:
                playout.add(sound(amount, added))
                added += amount
            case "finish":
                playout.finish()
                finished = True
            case "pause":
                playout.cut(now)
                reported = telephone.clear(now)
                if answers:
                    playout.correct(reported, now + 0.03)
                    assert playout.sent == reported
            case _:
                for _ in range(amount // 100):
                    now += 0.02
                    if piece := playout.release(now):
                        assert playout.ends_at() <= now + 0.2 + 1e-6
                        telephone.receive(piece.audio, now)
                    taken += playout.take_played(now)

    playout.finish()
    for piece in released(playout, now + 60, since=now + 0.5):
        telephone.receive(piece.audio, piece.at_sample / 8000)
    now += 120
    playout.cut(now)
    assert playout.sent == added
    telephone.play(now)
    taken += playout.take_played(now, everything=True)
    assert all(one.at_sample + TELEPHONE.samples(one.audio) <= two.at_sample for one, two in pairwise(taken))
    assert b"".join(piece.audio for piece in taken) == sound(added)
    if answers or not late:
        assert bytes(telephone.heard) == sound(added)


# --- ending early -----------------------------------------------------------------------------------------------------


def test_what_was_not_sent_can_be_dropped() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)

    sent = playout.sent

    playout.end_at(6000)
    playout.finish()

    assert sum(len(piece.audio) for piece in released(playout, 2.0, since=0.5)) == 2 * (6000 - sent)
    assert playout.is_empty


def test_what_was_sent_is_not_dropped() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)
    sent = playout.sent

    playout.end_at(100)

    assert playout.is_empty
    assert playout.sent == sent


def test_how_much_was_heard_and_when_more_will_be() -> None:
    playout = playout_with(8000)
    released(playout, 0.5)

    assert playout.heard(0.25) == 2000
    assert playout.heard(0.5) == 4000
    assert playout.heard(9.0) == playout.sent
    assert playout.heard_at(4000) == pytest.approx(0.5)
    playout.begin()
    assert playout.heard(0.5) == 0
