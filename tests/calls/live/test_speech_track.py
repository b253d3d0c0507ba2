"""Which words were heard after so many samples, and which are still to be said."""

import pytest

from app.calls.live.speech_track import SpeechTrack
from app.ports.streams import SpokenWord
from app.speech_text.verbalize import speakable

RATE = 8000


def track_of(*clauses: str) -> SpeechTrack:
    track = SpeechTrack(RATE)
    for clause in clauses:
        track.add_clause(clause, speakable(clause, "en"))
    return track


def with_sound(track: SpeechTrack, seconds: float) -> SpeechTrack:
    samples = int(seconds * RATE)
    track.add_audio(bytes(2 * samples), samples)
    return track


def words(*timed: tuple[str, float]) -> list[SpokenWord]:
    return [SpokenWord(text, start, start + 0.3) for text, start in timed]


def test_a_word_that_has_begun_was_heard() -> None:
    track = with_sound(track_of("We open at nine."), 2.0)
    track.add_words(words(("We", 0.0), ("open", 0.5), ("at", 1.0), ("nine.", 1.5)), 0.0)

    heard = [track.heard(samples) for samples in (0, 1, 4000, 4001, 8001, 12001)]

    assert heard == [
        ("", True),
        ("We", True),
        ("We", True),
        ("We open", True),
        ("We open at", True),
        ("We open at nine.", True),
    ]


def test_a_number_is_heard_as_it_was_written() -> None:
    track = with_sound(track_of("It costs 1500 rubles."), 3.0)
    spoken = speakable("It costs 1500 rubles.", "en").text.split()
    track.add_words(words(*((word, index * 0.5) for index, word in enumerate(spoken))), 0.0)

    assert track.heard(int(1.1 * RATE))[0] == "It costs 1500"


def test_what_was_heard_is_estimated_while_word_times_are_missing() -> None:
    track = with_sound(track_of("We open at nine on weekdays."), 2.0)

    text, exact = track.heard(RATE // 2)

    assert not exact
    assert text == "We open at"


def test_without_word_times_a_complete_sound_is_divided_by_letters() -> None:
    track = with_sound(track_of("We open at nine on weekdays."), 4.0)
    track.complete = True

    assert track.heard(2 * RATE) == ("We open at nine", False)
    assert track.heard(4 * RATE) == ("We open at nine on weekdays.", True)


@pytest.mark.parametrize(
    ("seconds", "rest"),
    [
        (0.0, "We open at nine. Come in."),
        (0.4, "open at nine. Come in."),
        (0.6, "at nine. Come in."),
        (1.9, "Come in."),
        (2.1, "in."),
    ],
)
def test_a_voice_that_breaks_off_has_the_words_without_sound_still_to_say(seconds: float, rest: str) -> None:
    """The times of words come before their sound."""
    track = with_sound(track_of("We open at nine. ", "Come in."), seconds)
    timed = words(("We", 0.0), ("open", 0.5), ("at", 1.0), ("nine.", 1.5), ("Come", 2.0), ("in.", 2.5))
    track.add_words(timed, 0.0)

    assert track.break_off() == rest


def test_the_words_of_a_second_voice_follow_those_of_the_first() -> None:
    track = with_sound(track_of("We open at nine."), 1.2)
    track.add_words(words(("We", 0.0), ("open", 0.5), ("at", 1.0), ("nine.", 1.5)), 0.0)
    assert track.break_off() == "nine."

    with_sound(track, 0.5)
    track.add_words(words(("nine.", 0.2)), 1.2)
    track.complete = True

    assert track.heard(int(1.3 * RATE))[0] == "We open at"
    assert track.heard(int(1.45 * RATE))[0] == "We open at nine."


def test_a_clause_that_is_written_after_the_voice_was_lost_is_said_whole() -> None:
    """However long the silence at the end of what was said before."""
    track = with_sound(track_of("We open at nine. "), 5.0)
    track.add_words(words(("We", 0.0), ("open", 0.5), ("at", 1.0), ("nine.", 1.5)), 0.0)
    assert track.break_off() == ""

    track.add_clause("Come in.", speakable("Come in.", "en"))

    assert track.unspoken() == "Come in."


def test_a_text_that_was_given_up_is_heard_as_far_as_it_has_sound() -> None:
    track = with_sound(track_of("We open at nine."), 1.2)
    track.add_words(words(("We", 0.0), ("open", 0.5), ("at", 1.0), ("nine.", 1.5)), 0.0)

    track.give_up()

    assert track.complete
    assert track.heard(track.samples) == ("We open at", True)


def test_a_clause_begins_with_its_first_word() -> None:
    track = with_sound(track_of("We open at nine. ", "Come in."), 3.0)
    track.add_words(words(("We", 0.0), ("open", 0.5), ("at", 1.0), ("nine.", 1.5), ("Come", 2.0), ("in.", 2.5)), 0.0)

    assert track.next_started_clause(1) == ("We open at nine. ", 0)
    assert track.next_started_clause(16000) is None
    assert track.next_started_clause(16001) == ("Come in.", 16000)
    assert track.next_started_clause(99999) is None


def test_a_time_that_is_not_exact_makes_no_exact_record() -> None:
    track = with_sound(track_of("We open at nine."), 2.0)
    timed = words(("We", 0.0), ("open", 0.3), ("at", 1.0), ("nine.", 1.5))
    timed[1] = SpokenWord("open", 0.3, 0.3, is_exact=False)
    track.add_words(timed, 0.0)

    assert track.heard(int(0.2 * RATE)) == ("We", False)
    assert track.heard(int(0.6 * RATE)) == ("We open", False)
    assert track.heard(int(1.2 * RATE)) == ("We open at", True)


def test_sound_that_was_wrong_is_taken_back_and_its_text_said_again() -> None:
    track = with_sound(track_of("We open at nine."), 0.8)
    track.add_words(words(("We", 0.0), ("open", 0.5)), 0.0)
    assert track.break_off() == "at nine."
    begin = track.samples
    with_sound(track, 3.0)
    track.add_words(words(("at", 0.1), ("nine.", 0.5)), 0.8)
    taken = sum(len(track.take_audio()) // 2 for _ in range(6))

    track.take_back(begin)

    assert track.samples == taken
    assert track.heard(track.samples)[0] == "We open"
    assert track.break_off() == "at nine."
    at = track.samples / RATE
    with_sound(track, 1.0)
    track.add_words(words(("at", 0.1), ("nine.", 0.5)), at)
    track.complete = True
    assert track.heard(track.samples) == ("We open at nine.", True)
    assert track.heard(track.samples - int(0.7 * RATE)) == ("We open at", True)


@pytest.mark.parametrize("pieces_taken", [0, 1])
def test_sound_is_not_kept_once_some_of_it_was_wrong_and_is_played(pieces_taken: int) -> None:
    track = SpeechTrack(RATE, keep_sound=True)
    track.add_clause("Nine.", speakable("Nine.", "en"))
    with_sound(track, 3.0)
    for _ in range(pieces_taken):
        track.take_audio()
    track.take_back(0)
    with_sound(track, 1.0)
    assert len(b"".join(track.kept_audio)) == (0 if pieces_taken else RATE * 2)


def test_sound_is_taken_in_short_pieces_and_none_is_lost() -> None:
    track = SpeechTrack(RATE, keep_sound=True)
    sound = bytes(range(256)) * 100
    track.add_audio(sound, len(sound) // 2)
    pieces = []
    while piece := track.take_audio():
        pieces.append(piece)
    assert b"".join(pieces) == sound == b"".join(track.kept_audio)
    assert max(map(len, pieces)) <= 0.2 * RATE * 2


def ended(position: float, *, complete: bool = True, timed: bool = True) -> tuple[SpeechTrack, float | None]:
    """A track of two seconds that is to end after a word at that position; where it ends then. Both in seconds."""
    track = with_sound(track_of("We open at nine."), 2.0)
    if timed:
        track.add_words(words(("We", 0.0), ("open", 0.31), ("at", 1.0), ("nine.", 1.5)), 0.0)
    track.complete = complete
    end = track.end_after_word(int(position * RATE))
    return track, None if end is None else end / RATE


@pytest.mark.parametrize(
    ("position", "end", "heard"),
    [
        (0.0, 0.31, "We"),
        (0.2, 0.31, "We"),
        (0.4, 0.64, "We open"),
        (0.63, 0.64, "We open"),
        (0.65, 1.33, "We open at"),
        (1.4, 1.83, "We open at nine."),
        (1.9, None, "We open at nine."),
    ],
)
def test_a_track_can_end_early_but_not_within_a_word(position: float, end: float | None, heard: str) -> None:
    track, ends = ended(position)

    assert ends == end
    assert track.samples == int((2.0 if end is None else end) * RATE)
    assert track.heard(track.samples) == (heard, True)
    taken = b""
    while piece := track.take_audio():
        taken += piece
    assert len(taken) == 2 * track.samples


def test_a_track_that_is_still_being_made_does_not_end_early() -> None:
    assert ended(0.2, complete=False)[1] is None


def test_without_word_times_a_track_ends_where_a_word_should() -> None:
    """``We open at nine.`` has twelve letters in two seconds."""
    assert ended(0.2, timed=False)[1] == pytest.approx(2 * 2.0 / 12, abs=0.001)
    assert ended(0.5, timed=False)[1] == pytest.approx(6 * 2.0 / 12, abs=0.001)


def test_sound_that_was_taken_is_left_to_the_player_when_a_track_ends_early() -> None:
    track = with_sound(track_of("We open at nine."), 2.0)
    track.add_words(words(("We", 0.0), ("open", 0.31), ("at", 1.0), ("nine.", 1.5)), 0.0)
    track.complete = True
    for _ in range(4):
        track.take_audio()

    assert track.end_after_word(int(0.4 * RATE)) == int(0.64 * RATE)
    assert not track.has_audio


@pytest.mark.parametrize("sample_bytes", [1, 2], ids=["mulaw", "pcm"])
def test_without_word_times_a_track_ends_where_it_is_quiet(sample_bytes: int) -> None:
    """The first of the three words of equal length ends at 0.58 s, not at 0.5 s."""
    loud, quiet = (b"\x00", b"\xff") if sample_bytes == 1 else (b"\x00\x40", b"\x00\x00")
    track = SpeechTrack(RATE, keep_sound=True)
    track.add_clause("abcd abcd abcd", speakable("abcd abcd abcd", "en"))
    track.add_audio(loud * 4640 + quiet * 400 + loud * 6960, 12000)
    track.complete = True

    end = track.end_after_word(800)

    assert end is not None
    assert 0.58 < end / RATE < 0.63
