"""A field that cannot be read costs what it says and no more: above all, no end of a turn is lost for one."""

import math
from typing import Any

import pytest

from app.clients.deepgram.flux_messages import FluxTurns
from app.clients.deepgram.nova_messages import NovaTurns
from app.clients.turn_assembly import TurnAssembly
from app.ports.streams import HeardWord, SpeechEvent, Transcript, TurnEnded, TurnResumed, TurnUpdated
from tests.clients.deepgram.server import flux, nova, utterance_end

WRONG: list[Any] = [None, True, 7, -1, "7", [], {}, [None], 1e308, math.nan, math.inf, 10**400, "\ud83d", "x" * 70_000]
TIMES = [value for value in WRONG if value != 7 or isinstance(value, bool)]
WORDS = [{"word": text, "start": at, "end": at + 0.25, "confidence": 0.9} for text, at in (("раз", 0.0), ("два", 0.25))]


def seconds(moment: float) -> float:
    """As strict as the real timeline: only a moment of the socket has a place in the stream."""
    return round(moment * 16000) / 16000


def events(turns: TurnAssembly, *messages: dict[str, Any]) -> list[SpeechEvent]:
    heard = [turns.read(message, seconds) for message in messages]
    return [event for one in heard if one for event in one.events]


def ended(turns: TurnAssembly, *messages: dict[str, Any]) -> Transcript:
    (event,) = [event for event in events(turns, *messages) if isinstance(event, TurnEnded)]
    return event.transcript


def final(**change: Any) -> dict[str, Any]:
    return nova("раз два", final=True, speech_final=True) | change


def alternative(**change: Any) -> dict[str, Any]:
    message = final()
    best = {"transcript": "раз два", "confidence": 0.9, "words": WORDS, "languages": ["ru"], **change}
    return message | {"channel": {"alternatives": [best]}}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize(
    "name", ["request_id", "sequence_id", "turn_index", "audio_window_start", "audio_window_end", "languages", "words"]
)
def test_the_end_of_a_flux_turn_is_taken_whatever_its_side_fields_are(name: str, wrong: Any) -> None:
    assert ended(FluxTurns("ru"), flux("Update", "раз"), flux("EndOfTurn", "раз два") | {name: wrong}).text == "раз два"


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("name", ["start", "duration", "is_final", "from_finalize", "metadata", "channel_index"])
def test_the_end_of_a_nova_turn_is_taken_whatever_its_side_fields_are(name: str, wrong: Any) -> None:
    assert ended(NovaTurns("ru"), nova("раз"), final(**{name: wrong})).text == "раз два"


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("name", ["confidence", "languages", "words"])
def test_so_it_is_whatever_the_side_fields_of_its_alternative_are(name: str, wrong: Any) -> None:
    assert ended(NovaTurns("ru"), nova("раз"), alternative(**{name: wrong})).text == "раз два"


@pytest.mark.parametrize("wrong", [None, 7, [], {"a": 1}], ids=repr)
def test_an_end_whose_text_is_lost_has_that_of_its_words_or_else_of_the_guess_before(wrong: Any) -> None:
    assert ended(FluxTurns("ru"), flux("EndOfTurn") | {"transcript": wrong, "words": WORDS}).text == "раз два"
    assert ended(NovaTurns("ru"), alternative(transcript=wrong)).text == "раз два"
    lost = {"transcript": wrong, "words": wrong}
    assert ended(FluxTurns("ru"), flux("Update", "раз"), flux("EndOfTurn") | lost).text == "раз"
    assert ended(NovaTurns("ru"), nova("раз"), alternative(**lost)).text == "раз"
    assert ended(NovaTurns("ru"), nova("раз"), final(channel=wrong)).text == "раз"
    assert ended(FluxTurns("ru"), flux("StartOfTurn"), flux("EndOfTurn") | lost).text == ""


def test_a_sign_of_life_whose_text_is_lost_is_one_all_the_same() -> None:
    assert events(FluxTurns("ru"), flux("Update") | {"transcript": None}) == []
    assert events(NovaTurns("ru"), nova("") | {"channel": {"alternatives": [{"transcript": None, "words": []}]}}) == []


@pytest.mark.parametrize("wrong", [*WRONG, " "], ids=lambda value: repr(value)[:20])
def test_of_a_word_that_is_not_a_text_only_the_word_is_lost(wrong: Any) -> None:
    if wrong in ("7",):
        return  # that one is text
    words = [WORDS[0], {"word": wrong, "start": 0.1, "end": 0.2, "confidence": 0.9}, WORDS[1]]
    for transcript in (
        ended(FluxTurns("ru"), flux("EndOfTurn", "раз два") | {"words": words}),
        ended(NovaTurns("ru"), alternative(words=words)),
    ):
        assert transcript.text == "раз два"
        assert [word.text for word in transcript.words] == ["раз", "два"]


@pytest.mark.parametrize("wrong", TIMES, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("name", ["start", "end"])
def test_a_time_that_is_none_is_worked_out_from_the_neighbours(name: str, wrong: Any) -> None:
    changed = [WORDS[0], WORDS[1] | {name: wrong}]
    transcript = ended(FluxTurns("ru"), flux("EndOfTurn", "раз два") | {"words": changed})
    expected = HeardWord("два", 0.25, 0.5 if name == "start" else 0.25, 0.9)
    assert transcript.words == (HeardWord("раз", 0.0, 0.25, 0.9), expected)


def test_a_first_word_without_a_time_stands_where_the_next_begins() -> None:
    changed = [WORDS[0] | {"start": None, "end": None}, WORDS[1]]
    transcript = ended(FluxTurns("ru"), flux("EndOfTurn", "раз два", end=3.0) | {"words": changed})
    assert [(word.start, word.end) for word in transcript.words] == [(0.25, 0.25), (0.25, 0.5)]


@pytest.mark.parametrize("wrong", [*TIMES, 7], ids=lambda value: repr(value)[:20])
def test_a_confidence_that_is_none_is_that_of_the_other_words(wrong: Any) -> None:
    changed = [WORDS[0], WORDS[1] | {"confidence": wrong}]
    assert ended(FluxTurns("ru"), flux("EndOfTurn", "раз два") | {"words": changed}).confidence == pytest.approx(0.9)


def test_without_any_confidence_nothing_is_doubted() -> None:
    changed = [{**word, "confidence": None} for word in WORDS]
    assert ended(FluxTurns("ru"), flux("EndOfTurn", "раз два") | {"words": changed}).confidence == 1.0
    assert ended(NovaTurns("ru"), alternative(words=changed, confidence=0.4)).confidence == pytest.approx(0.4)


@pytest.mark.parametrize("wrong", [None, 7, [7], ["мой номер"], ["\ud83d"], {"ru": 1}], ids=repr)
def test_a_language_that_is_not_a_code_is_the_one_that_was_asked_for(wrong: Any) -> None:
    assert ended(FluxTurns("ru"), flux("EndOfTurn", "да") | {"languages": wrong}).language == "ru"
    assert ended(NovaTurns("ru"), alternative(languages=wrong)).language == "ru"


def test_what_cannot_be_placed_acknowledges_nothing() -> None:
    for turns, message in (
        (FluxTurns("ru"), flux("EndOfTurn", "да") | {"audio_window_end": 1e308}),
        (NovaTurns("ru"), final(duration=math.nan)),
    ):
        heard = turns.read(message, seconds)
        assert heard is not None
        assert heard.acknowledged is None


# --- an end that cannot be seen -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 7, ["EndOfTurn"], "EndOfTurn?"], ids=repr)
def test_a_flux_turn_whose_end_cannot_be_read_ends_with_the_next_sign_of_life(wrong: Any) -> None:
    assert ended(
        FluxTurns("ru"),
        flux("Update", "раз два"),
        flux("EndOfTurn", "раз два") | {"event": wrong},
        flux("Update", turn_index=1),
    ).text == ("раз два")


def test_so_it_does_when_the_whole_message_is_lost_or_unknown_words_come_with_the_later_turn() -> None:
    turns = FluxTurns("ru")
    assert events(turns, flux("Update", "раз"), flux("SomethingNew", turn_index=1)) == [
        TurnUpdated(turns_of("раз")),
        TurnEnded(turns_of("раз")),
    ]
    assert [type(event) for event in events(turns, flux("StartOfTurn", "два", turn_index=1))] == [TurnUpdated]


def test_a_new_socket_counts_its_turns_from_the_start() -> None:
    turns = FluxTurns("ru")
    events(turns, flux("Update", "раз", turn_index=4))
    turns.resume_from(0.0)
    assert [type(event) for event in events(turns, flux("Update", "раз два", turn_index=5))] == [TurnUpdated]
    turns.resume_from(0.0)
    assert ended(turns, flux("EndOfTurn", "раз два", turn_index=0)).text == "раз два"


def turns_of(text: str) -> Transcript:
    (event,) = events(FluxTurns("ru"), flux("Update", text))
    assert isinstance(event, TurnUpdated | TurnResumed)
    return event.transcript


@pytest.mark.parametrize("wrong", [None, 7, "true", []], ids=repr)
def test_words_of_nova_that_do_not_say_that_they_are_final_are_kept_when_it_goes_on_behind_them(wrong: Any) -> None:
    assert ended(
        NovaTurns("ru"),
        nova("раз", end=0.4),
        nova("раз два", end=0.5, final=True) | {"is_final": wrong},
        nova("три", start=0.5, end=1.0),
        nova("три", start=0.5, end=1.0, final=True, speech_final=True),
    ).text == ("раз два три")


def test_a_guess_of_nova_whose_final_form_was_lost_is_kept_and_ends_with_its_pause() -> None:
    silence = nova("", start=0.5, end=1.0, final=True)
    assert ended(NovaTurns("ru"), nova("раз", end=0.4), utterance_end(0.4), silence).text == "раз"


@pytest.mark.parametrize("wrong", TIMES, ids=lambda value: repr(value)[:20])
def test_the_end_of_an_utterance_is_one_wherever_its_last_word_was(wrong: Any) -> None:
    message = utterance_end(0.5) | {"last_word_end": wrong}
    assert ended(NovaTurns("ru"), nova("да", final=True), message).text == "да"
