import pytest

from app.clients.cartesia.context import SpokenContext, letters
from app.ports.streams import SpokenWord


def context_given(text: str, *, now: float = 0.0) -> SpokenContext:
    context = SpokenContext("c", starts_at=0.0, now=now)
    context.given(text, now)
    return context


def words(text: str) -> tuple[SpokenWord, ...]:
    return tuple(SpokenWord(word, 0.0, 0.1) for word in text.split())


def timed(text: str, *, begin: float = 0.0, each: float = 0.4) -> tuple[SpokenWord, ...]:
    starts = [begin + index * each for index in range(len(text.split()))]
    return tuple(SpokenWord(word, start, start + each) for word, start in zip(text.split(), starts, strict=True))


TEXT = "Мы открыты каждый день с девяти часов утра и до шести вечера."


def test_only_letters_and_digits_make_a_sound() -> None:
    assert letters("Да, 25 ₽!") == 4


def test_text_without_sound_is_owed() -> None:
    assert context_given("Привет.").owes


def test_text_whose_words_came_is_not_owed() -> None:
    context = context_given("Привет, мир!")
    context.gave_audio(1.0, 1.0)
    context.gave_words(words("Привет, мир!"), 1.0)
    assert not context.owes


def test_the_second_clause_is_owed_while_only_the_first_was_spoken() -> None:
    context = context_given("Привет, ")
    context.given("как у вас дела?", 0.1)
    context.gave_audio(1.0, 0.2)
    context.gave_words(words("Привет,"), 0.2)
    assert context.owes


def test_a_word_written_in_the_vendors_own_way_is_not_owed_for_ever() -> None:
    context = context_given("Подтверждаю вашу запись на четверг, 5-го.")
    context.gave_audio(1.0, 1.0)
    context.gave_words(words("Подтверждаю вашу запись на четверг, 5"), 1.0)
    assert not context.owes


def test_without_any_word_times_sound_after_the_text_pays_for_it() -> None:
    context = context_given("Привет.")
    context.gave_audio(1.0, 1.0)
    assert not context.owes
    context.given("Ещё.", 1.1)
    assert context.owes


def test_the_end_is_owed_even_when_all_was_spoken() -> None:
    context = context_given("Да.")
    context.gave_audio(1.0, 1.0)
    context.gave_words(words("Да."), 1.0)
    context.ended(2.0)
    assert context.owes
    assert context.progress_at == 2.0


def test_patience_counts_from_the_text_after_a_pause_and_not_from_the_sound_before_it() -> None:
    context = context_given("Да.", now=0.0)
    context.gave_audio(1.0, 1.0)
    context.gave_words(words("Да."), 1.0)
    context.given("Нет.", 9.0)
    assert context.progress_at == 9.0


def test_more_text_does_not_prolong_the_patience_for_what_is_owed() -> None:
    context = context_given("Да.", now=0.0)
    context.given("Нет.", 1.0)
    assert context.progress_at == 0.0


def test_a_context_is_idle_when_it_has_spoken_and_then_been_silent() -> None:
    context = context_given("Да.")
    assert not context.is_idle(5.0, 0.8)
    context.gave_audio(1.0, 5.0)
    context.gave_words(words("Да."), 5.0)
    assert not context.is_idle(5.5, 0.8)
    assert context.is_idle(6.0, 0.8)


# --- whether the text has been said ------------------------------------------------------------------------------


def speak(context: SpokenContext, text: str = TEXT, *, sound: float, words_until: float = 99.0) -> None:
    """Sound in pieces of 0.2 s, at 0.4 s a word, each with the times of the words that begin in it."""
    timestamps = list(timed(text))
    for index in range(round(sound / 0.2)):
        end = (index + 1) * 0.2
        context.gave_audio(0.2, end)
        begun = [word for word in timestamps if word.start < end and word.start < words_until]
        del timestamps[: len(begun)]
        context.gave_words(tuple(begun), end)


def test_a_text_whose_words_all_have_sound_is_said() -> None:
    context = context_given(TEXT)
    speak(context, sound=4.8)
    assert context.has_said_all


@pytest.mark.parametrize("words_until", [99.0, 0.0], ids=["with word times", "without"])
def test_a_text_whose_sound_ends_early_is_not(words_until: float) -> None:
    context = context_given(TEXT)
    speak(context, sound=1.0, words_until=words_until)
    assert not context.has_said_all


def test_a_word_that_is_said_to_begin_after_the_sound_has_none() -> None:
    context = context_given(TEXT)
    context.gave_audio(2.0, 0.0)
    context.gave_words(timed(TEXT), 0.0)
    assert not context.has_said_all


def test_a_fast_voice_without_word_times_has_said_all() -> None:
    context = SpokenContext("c", starts_at=0.0, now=0.0, speed=1.5)
    context.given(TEXT, 0.0)
    context.gave_audio(len(TEXT) / 14 / 1.5, 1.0)
    assert context.has_said_all


def test_times_that_ceased_to_come_cost_no_sound() -> None:
    context = context_given(TEXT)
    speak(context, sound=4.8, words_until=1.0)
    assert context.has_said_all


# --- words that were lost, and times beyond reason ---------------------------------------------------------------


def test_words_that_were_lost_are_made_good_from_the_text() -> None:
    context = context_given("Один два три четыре.")
    context.gave_audio(2.0, 0.0)
    assert context.gave_words(timed("Один"), 0.0) == timed("Один")
    assert context.gave_words((), 0.0, is_whole=False) == ()
    four = timed("четыре.", begin=1.2)
    assert context.gave_words(four, 0.0) == (SpokenWord("дватри", 0.4, 0.4, is_exact=False), *four)
    assert not context.owes


def test_words_that_are_not_in_the_text_cannot_be_placed() -> None:
    context = context_given("Один два три.")
    context.gave_audio(2.0, 0.0)
    context.gave_words((), 0.0, is_whole=False)
    assert context.gave_words(timed("пять"), 0.0) == ()
    assert not context.owes
    assert context.has_said_all


@pytest.mark.parametrize("start", [-0.1, 0.1, 1e6])
def test_a_time_that_goes_back_or_is_beyond_reason_is_not_exact(start: float) -> None:
    context = context_given("Один два три.")
    context.gave_audio(2.0, 0.0)
    context.gave_words((SpokenWord("Один", 0.5, 0.9),), 0.0)
    assert context.gave_words((SpokenWord("два", start, start),), 0.0) == (SpokenWord("два", 0.9, 0.9, is_exact=False),)


# --- sound against word times -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [6.0, 3.0, 2.0], ids=["24 kHz, 16 bit", "24 kHz", "16 bit"])
def test_sound_of_another_rate_is_found_within_a_second_of_speech(share: float) -> None:
    context = context_given(TEXT)
    timestamps = list(timed(TEXT))
    spoken = 0.0
    while not context.sound_is_too_long:
        assert spoken <= 1.2
        spoken += 0.1
        context.gave_audio(0.1 * share, spoken)
        begun = [word for word in timestamps if word.start < spoken]
        del timestamps[: len(begun)]
        context.gave_words(tuple(begun), spoken)


@pytest.mark.parametrize("each", [0.2, 0.4, 1.5], ids=["fast", "usual", "slow"])
@pytest.mark.parametrize("lag", [0.0, 0.5, 1.5, 99.0])
@pytest.mark.parametrize("pause", [0.0, 4.0])
def test_no_voice_and_no_lateness_of_its_word_times_is_taken_for_another_rate(
    each: float, lag: float, pause: float
) -> None:
    context = context_given(TEXT)
    timestamps = [
        SpokenWord(word.text, word.start + pause * (index > 3), word.end + pause * (index > 3))
        for index, word in enumerate(timed(TEXT, each=each))
    ]
    end = timestamps[-1].end
    sound = 0.0
    while sound < end:
        sound += 0.1
        context.gave_audio(0.1, sound)
        while timestamps and timestamps[0].start + lag < sound:
            context.gave_words((timestamps.pop(0),), sound)
        assert not context.sound_is_too_long
    for word in timestamps:  # one message each, in a burst
        context.gave_words((word,), sound)
    context.gave_audio(0.1, sound)
    assert not context.sound_is_too_long


def test_bursts_of_word_times_after_each_clause_are_not_taken_for_another_rate() -> None:
    context = context_given(TEXT)
    for clause in range(3):
        for _ in range(20):
            context.gave_audio(0.2, 0.0)
        for word in timed("раз два три четыре", begin=clause * 4.0, each=1.0):
            context.gave_words((word,), 0.0)
    assert not context.sound_is_too_long


def test_sound_without_an_end_is_too_long_even_without_word_times() -> None:
    context = context_given("Да.")
    for second in range(60):
        context.gave_audio(1.0, float(second))
    assert context.sound_is_too_long


def test_words_that_are_told_for_ever_are_no_progress() -> None:
    context = context_given("Да.")
    context.gave_audio(1.0, 0.0)
    context.ended(0.0)
    for second in range(60):
        context.gave_words(timed("Да."), float(second))
    assert context.progress_at < 5.0


def test_words_that_the_vendor_writes_in_its_own_way_are_said_when_the_last_one_is() -> None:
    context = context_given("Звоните с девяти до двадцати одного часа, кроме выходных.")
    context.gave_audio(3.6, 0.0)
    context.gave_words(timed("Звоните с 9 до 21 часа, кроме выходных."), 0.0)
    assert context.has_said_all


def test_sound_is_heard_as_it_comes_and_what_comes_ahead_waits() -> None:
    context = context_given(TEXT)
    context.gave_audio(0.1, 1.0)
    context.gave_audio(2.0, 1.1)
    assert context.heard_until == pytest.approx(3.1)
    context.gave_audio(0.1, 9.0)
    assert context.heard_until == pytest.approx(3.2), "a lag is not made up by waiting"


def test_a_pause_in_which_nothing_was_owed_is_no_lag() -> None:
    context = context_given("Привет, мир!")
    context.gave_audio(1.0, 1.0)
    context.gave_words(words("Привет, мир!"), 1.0)
    context.given("И ещё.", 9.0)
    assert context.heard_until is None
    context.gave_audio(1.0, 9.5)
    assert context.heard_until == pytest.approx(10.5)
