import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.deepgram.flux_messages import FluxTurns
from app.clients.deepgram.messages import DeepgramOptions, listen_url, rest_url
from app.clients.deepgram.nova_messages import NovaTurns
from app.clients.messages import Unreadable
from app.clients.phrase import mean_confidence
from app.clients.turn_assembly import TurnAssembly
from app.errors import ProviderUnavailable
from app.ports.streams import SpeechEvent, TurnEnded, TurnEndedEagerly, TurnResumed, TurnUpdated
from media.formats import AudioFormat
from tests.clients.deepgram.server import flux, nova, utterance_end

PCM = AudioFormat("pcm_s16le", 16000)
MULAW = AudioFormat("mulaw", 8000)
SAME = float


def read(turns: TurnAssembly, *messages: dict[str, Any]) -> list[tuple[type[SpeechEvent], str]]:
    return [(type(event), event.transcript.text) for event in events(turns, *messages)]


def events(turns: TurnAssembly, *messages: dict[str, Any]) -> list[Any]:
    heard = [turns.read(message, SAME) for message in messages]
    return [event for one in heard if one for event in one.events]


def query(
    options: DeepgramOptions, audio_format: AudioFormat = PCM, tag: str | None = "call-1"
) -> dict[str, list[str]]:
    return parse_qs(urlsplit(listen_url("https://api.deepgram.com", audio_format, options, tag=tag)).query)


# --- what is asked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "model", "address"),
    [
        ("https://api.deepgram.com", "flux-general-multi", "wss://api.deepgram.com/v2/listen"),
        ("https://api.deepgram.com/", "nova-3", "wss://api.deepgram.com/v1/listen"),
        ("http://127.0.0.1:1234/deepgram", "nova-3", "ws://127.0.0.1:1234/deepgram/v1/listen"),
        ("ws://127.0.0.1:1234/deepgram/", "flux-general-multi", "ws://127.0.0.1:1234/deepgram/v2/listen"),
    ],
)
def test_the_address_follows_from_the_base_url_and_the_model(base: str, model: str, address: str) -> None:
    assert listen_url(base, PCM, DeepgramOptions(model=model), tag=None).split("?")[0] == address


def test_the_rest_address_follows_from_a_websocket_base_url() -> None:
    assert rest_url("wss://api.deepgram.com/eu/") == "https://api.deepgram.com/eu"


def test_flux_is_asked_for_eager_ends_in_the_language_of_the_call() -> None:
    assert query(DeepgramOptions(language_hints=("en-US", "ru"), keyterms=("УЗИ", "МРТ"))) == {
        "model": ["flux-general-multi"],
        "eot_threshold": ["0.7"],
        "eot_timeout_ms": ["5000"],
        "eager_eot_threshold": ["0.5"],
        "language_hint": ["ru", "en"],
        "encoding": ["linear16"],
        "sample_rate": ["16000"],
        "keyterm": ["УЗИ", "МРТ"],
        "tag": ["call-1"],
    }


def test_flux_detects_without_hints_and_flux_for_english_takes_none() -> None:
    assert "language_hint" not in query(DeepgramOptions(language="multi"))
    assert "language_hint" not in query(DeepgramOptions(model="flux-general-en", language="en"))
    assert "eager_eot_threshold" not in query(DeepgramOptions(eager_eot_threshold=None))


def test_nova_is_asked_in_the_format_of_a_telephone_line() -> None:
    assert query(DeepgramOptions(model="nova-3", language_hints=("en",)), MULAW, None) == {
        "model": ["nova-3"],
        "language": ["ru"],
        "channels": ["1"],
        "interim_results": ["true"],
        "endpointing": ["250"],
        "utterance_end_ms": ["1000"],
        "punctuate": ["true"],
        "no_delay": ["true"],
        "encoding": ["mulaw"],
        "sample_rate": ["8000"],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"eager_eot_threshold": 0.8},
        {"eager_eot_threshold": 0.2},
        {"eot_threshold": 1.1},
        {"eot_timeout_ms": 100},
        {"utterance_end_ms": 500},
        {"language": "uk"},
        {"model": "flux-general-en", "language": "ru"},
    ],
)
def test_what_deepgram_would_refuse_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is 0\.|is 500|is 1000|use nova-3"):
        DeepgramOptions(**wrong)


# --- Flux ------------------------------------------------------------------------------------------------------


def test_flux_replaces_the_words_of_a_turn_until_it_ends() -> None:
    assert read(
        FluxTurns("ru"),
        {"type": "Connected", "request_id": "1", "sequence_id": 0},
        flux("StartOfTurn"),
        flux("Update", "I want"),
        flux("EagerEndOfTurn", "I want to book."),
        flux("TurnResumed", "I want to book."),
        flux("EndOfTurn", "I want to book a visit."),
        flux("StartOfTurn"),
        flux("EndOfTurn"),
    ) == [
        (TurnUpdated, ""),
        (TurnUpdated, "I want"),
        (TurnEndedEagerly, "I want to book."),
        (TurnResumed, "I want to book."),
        (TurnEnded, "I want to book a visit."),
        (TurnUpdated, ""),
        (TurnEnded, ""),
    ]


def test_only_the_end_of_a_flux_turn_acknowledges_its_audio() -> None:
    turns = FluxTurns("ru")
    heard = [turns.read(flux(event, "да", end=1.4), SAME) for event in ("Update", "EagerEndOfTurn", "EndOfTurn")]
    assert [one.acknowledged for one in heard if one] == [None, None, 1.4]


def test_words_have_the_times_of_the_stream() -> None:
    heard = FluxTurns("ru").read(flux("Update", "раз два", start=0.0, end=1.0), lambda seconds: seconds + 10.0)
    assert heard is not None
    (event,) = heard.events
    assert isinstance(event, TurnUpdated)
    assert [(word.text, word.start, word.end) for word in event.transcript.words] == [
        ("раз", 10.0, 10.5),
        ("два", 10.5, 11.0),
    ]


def test_words_without_a_time_lie_at_the_end_of_the_window() -> None:
    message = flux("Update", "да", end=2.0) | {"words": [{"word": "да", "confidence": 0.8}]}
    (event,) = events(FluxTurns("ru"), message)
    assert [(word.start, word.end) for word in event.transcript.words] == [(2.0, 2.0)]
    assert event.transcript.confidence == 0.8


def test_a_flux_error_is_a_loss_that_says_nothing_but_its_code() -> None:
    with pytest.raises(ProviderUnavailable, match=r"^deepgram: fatal error INTERNAL_SERVER_ERROR$"):
        FluxTurns("ru").read({"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": "мой номер"}, SAME)
    with pytest.raises(ProviderUnavailable, match=r"without a code$"):
        FluxTurns("ru").read({"type": "Error", "code": "мой номер"}, SAME)


@pytest.mark.parametrize("turns", [FluxTurns("ru"), NovaTurns("ru")], ids=["flux", "nova"])
@pytest.mark.parametrize("message", [{"type": "SomethingNew"}, {}, {"type": 7}, {"type": ["Results"]}], ids=json.dumps)
def test_an_unknown_type_is_known_as_such(turns: TurnAssembly, message: dict[str, Any]) -> None:
    assert turns.read(message, SAME) is None


def test_an_unknown_flux_event_is_known_as_such() -> None:
    assert FluxTurns("ru").read(flux("Something", "да"), SAME) is None


@pytest.mark.parametrize("change", [{"transcript": None, "words": None}, {"transcript": 1, "words": [{"word": 1}, 7]}])
def test_an_update_of_flux_of_which_nothing_can_be_read_is_unreadable(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match=r"^neither a transcript nor a word$"):
        FluxTurns("ru").read(flux("Update") | change, SAME)


# --- Nova ------------------------------------------------------------------------------------------------------


def test_nova_phrases_add_up_to_a_turn() -> None:
    assert read(
        NovaTurns("ru"),
        {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.1},
        nova("", end=0.1),
        nova("запишите"),
        nova("запишите меня", final=True),
        nova("на", start=1.0, end=1.5),
        nova("на среду", start=1.0, end=1.8, final=True, speech_final=True),
        utterance_end(1.8),
    ) == [
        (TurnUpdated, "запишите"),
        (TurnUpdated, "запишите меня"),
        (TurnUpdated, "запишите меня на"),
        (TurnEnded, "запишите меня на среду"),
    ]


@pytest.mark.parametrize("flag", ["speech_final", "from_finalize"])
def test_an_empty_final_can_end_a_turn(flag: str) -> None:
    final = nova("", start=1.0, end=1.2, final=True, **{flag: True})
    assert read(NovaTurns("ru"), nova("да", final=True), final, final) == [(TurnUpdated, "да"), (TurnEnded, "да")]


def test_the_end_of_an_utterance_ends_a_turn_that_noise_kept_open() -> None:
    assert read(NovaTurns("ru"), nova("да", final=True), utterance_end(0.5), utterance_end(0.5)) == [
        (TurnUpdated, "да"),
        (TurnEnded, "да"),
    ]


@pytest.mark.parametrize("last_word_end", [0.5, -1])
def test_a_pause_told_before_the_words_are_final_ends_the_turn_with_them(last_word_end: float) -> None:
    assert read(NovaTurns("ru"), nova("да"), utterance_end(last_word_end), nova("да.", final=True)) == [
        (TurnUpdated, "да"),
        (TurnEnded, "да."),
    ]


def test_a_pause_told_before_does_not_end_the_turn_when_the_caller_went_on() -> None:
    assert read(NovaTurns("ru"), nova("да"), utterance_end(0.5), nova("да и ещё", end=1.5, final=True)) == [
        (TurnUpdated, "да"),
        (TurnUpdated, "да и ещё"),
    ]


def test_a_late_pause_does_not_end_the_next_turn() -> None:
    assert read(
        NovaTurns("ru"),
        nova("да", final=True, speech_final=True),
        nova("нет", start=1.0, end=1.5, final=True),
        utterance_end(0.5),
    ) == [(TurnEnded, "да"), (TurnUpdated, "нет")]


def test_words_that_were_a_mistake_end_as_an_empty_turn() -> None:
    assert read(NovaTurns("ru"), nova("да"), nova("", final=True, speech_final=True)) == [
        (TurnUpdated, "да"),
        (TurnEnded, ""),
    ]


def test_silence_is_not_a_turn() -> None:
    assert read(NovaTurns("ru"), nova("", final=True, speech_final=True), utterance_end(-1)) == []


def test_every_nova_final_acknowledges_its_audio() -> None:
    turns = NovaTurns("ru")
    heard = [turns.read(message, SAME) for message in (nova("да"), nova("да", end=0.5, final=True))]
    assert [one.acknowledged for one in heard if one] == [None, 0.5]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "Results"},
        nova("да") | {"channel": {"alternatives": []}},
        nova("да") | {"channel": {"alternatives": [None]}},
        nova("да") | {"channel": {"alternatives": [{"transcript": 7, "words": [{"word": None}]}]}},
    ],
    ids=["empty", "no alternative", "no object", "no text"],
)
def test_nova_results_of_which_nothing_can_be_read_are_unreadable(message: dict[str, Any]) -> None:
    with pytest.raises(
        Unreadable, match=r"^neither a transcript nor a word$|^(an alternative|channel) is not an object$"
    ):
        NovaTurns("ru").read(message, SAME)


FINALS = st.lists(
    st.tuples(st.sampled_from(["", "да", "нет спасибо", "пять шесть семь"]), st.booleans(), st.booleans())
)


@given(finals=FINALS)
def test_the_turns_together_say_what_the_finals_said(finals: list[tuple[str, bool, bool]]) -> None:
    turns = NovaTurns("ru")
    ended: list[str] = []
    for index, (text, guessed, ends) in enumerate(finals):
        start, end = float(index), index + 0.5
        messages = [nova("ну", start=start, end=end)] if guessed else []
        messages.append(nova(text, start=start, end=end, final=True, speech_final=ends))
        messages += [utterance_end(end)] if ends else []
        ended += [text for kind, text in read(turns, *messages) if kind is TurnEnded]
    ended += [event.transcript.text for event in turns.close() if isinstance(event, TurnEnded)]
    assert " ".join(text for text in ended if text) == " ".join(text for text, _, _ in finals if text)


# --- confidence and language -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "mean"),
    [
        ([], None),
        ([(0.9, 0.0), (0.5, 0.0)], 0.7),
        ([(1.0, 3.0), (0.2, 1.0)], 0.8),
        ([(0.4, 0.0), (0.8, 1.0)], 0.8),
    ],
)
def test_long_words_weigh_more(words: list[tuple[float, float]], mean: float | None) -> None:
    assert mean_confidence(words) == (None if mean is None else pytest.approx(mean))


def language_of(turns: TurnAssembly, message: dict[str, Any]) -> str | None:
    (event,) = events(turns, message)
    language: str | None = event.transcript.language
    return language


def spoken(*words: tuple[str, float]) -> dict[str, Any]:
    """A Nova final with a language on each word, and how long it took."""
    raw, start = [], 0.0
    for language, seconds in words:
        raw.append({"word": "a", "start": start, "end": start + seconds, "confidence": 1.0, "language": language})
        start += seconds
    message = nova("a", final=True, speech_final=True)
    message["channel"] = {"alternatives": [{"transcript": "a", "confidence": 1.0, "words": raw}]}
    return message


def test_the_language_is_what_deepgram_says_or_else_what_was_asked() -> None:
    assert language_of(FluxTurns("ru"), flux("EndOfTurn", "yes", languages=["en"])) == "en"
    assert language_of(FluxTurns("ru"), flux("EndOfTurn", "да")) == "ru"
    assert language_of(FluxTurns(None), flux("EndOfTurn", "да", languages=[])) is None


def test_of_several_languages_the_one_with_most_seconds_counts() -> None:
    assert language_of(NovaTurns(None), spoken(("en", 0.2), ("en", 0.2), ("ru", 1.0))) == "ru"
    named = spoken(("en", 1.0))
    named["channel"]["alternatives"][0]["languages"] = ["de"]
    assert language_of(NovaTurns(None), named) == "de"


# --- the loss of a socket ----------------------------------------------------------------------------------------


def test_finals_before_a_loss_stay_in_the_turn() -> None:
    turns = NovaTurns("ru")
    read(turns, nova("запишите меня", final=True), nova("на", start=0.6, end=0.9))
    turns.resume_from(0.5)
    assert turns.orphaned
    assert read(turns, nova("на среду", start=0.6, end=1.2, final=True, speech_final=True)) == [
        (TurnEnded, "запишите меня на среду")
    ]


def test_words_that_cannot_be_heard_again_stay_in_a_flux_turn() -> None:
    turns = FluxTurns("ru")
    read(turns, flux("Update", "раз два три четыре", start=0.0, end=4.0))
    turns.resume_from(2.0)
    assert read(turns, flux("Update", "три четыре пять", start=2.0, end=5.0)) == [
        (TurnUpdated, "раз два три четыре пять")
    ]


def test_an_eager_end_before_a_loss_is_revoked_by_the_next_words() -> None:
    for event, kinds in (("Update", [TurnResumed]), ("EagerEndOfTurn", [TurnResumed, TurnEndedEagerly])):
        turns = FluxTurns("ru")
        read(turns, flux("EagerEndOfTurn", "да"))
        turns.resume_from(0.0)
        assert [kind for kind, _ in read(turns, flux(event, "да"), flux("EndOfTurn", "да"))] == [*kinds, TurnEnded]


def test_a_turn_of_which_nothing_more_is_heard_can_be_closed_once() -> None:
    turns = NovaTurns("ru")
    read(turns, nova("да", final=True))
    turns.resume_from(0.5)
    assert [type(event) for event in turns.close()] == [TurnEnded]
    assert turns.close() == ()
    assert not turns.open


# --- what is told twice ----------------------------------------------------------------------------------------

BOOK, TABLE = "I want to book", "I want to book a table"


@pytest.mark.parametrize("ends", [{"speech_final": True}, {"from_finalize": True}])
@pytest.mark.parametrize("guessed", [True, False])
def test_finals_of_nova_that_overlap_are_the_new_words_alone(ends: dict[str, Any], guessed: bool) -> None:
    guess = [nova(TABLE, start=0.0, end=1.2)] if guessed else []

    heard = read(
        NovaTurns("en"),
        nova(BOOK, end=0.8, final=True, **ends),
        *guess,
        nova(TABLE, end=1.2, final=True, **ends),
        nova(TABLE, end=1.2, final=True, **ends),
    )

    guesses = [(TurnUpdated, "a table")] if guessed else []
    assert heard == [(TurnEnded, BOOK), *guesses, (TurnEnded, "a table")]


def test_a_final_of_nova_that_corrects_what_was_told_does_not_tell_it_again() -> None:
    corrected = nova("I want to look a table", end=1.2, final=True, speech_final=True)

    heard = read(NovaTurns("en"), nova(BOOK, end=0.8, final=True, speech_final=True), corrected)

    assert heard == [(TurnEnded, BOOK), (TurnEnded, "a table")]


def test_finals_of_one_turn_that_overlap_are_joined_once() -> None:
    heard = read(
        NovaTurns("en"),
        nova(BOOK, end=0.8, final=True),
        nova("to book a table", start=0.4, end=1.2, final=True, speech_final=True),
    )

    assert heard == [(TurnUpdated, BOOK), (TurnEnded, TABLE)]


def test_finals_without_words_are_compared_by_their_text() -> None:
    second = nova(TABLE, end=1.2, final=True, speech_final=True)
    second["channel"]["alternatives"][0]["words"] = None

    assert read(NovaTurns("en"), nova(BOOK, end=0.8, final=True, speech_final=True), second) == [
        (TurnEnded, BOOK),
        (TurnEnded, "a table"),
    ]


def test_the_same_words_said_twice_are_two_turns() -> None:
    heard = read(
        NovaTurns("en"),
        nova("yes", end=0.5, final=True, speech_final=True),
        nova("yes", start=0.5, end=1.0, final=True, speech_final=True),
    )

    assert heard == [(TurnEnded, "yes"), (TurnEnded, "yes")]


def test_a_turn_of_flux_that_ends_twice_ends_with_the_new_words_alone() -> None:
    heard = read(
        FluxTurns("en"),
        flux("EndOfTurn", BOOK, end=0.8, turn_index=3),
        flux("EndOfTurn", BOOK, end=0.9, turn_index=3),
        flux("EndOfTurn", TABLE, end=1.2, turn_index=3),
        flux("EndOfTurn", TABLE, end=1.3, turn_index=3),
        flux("EndOfTurn", BOOK, start=2.0, end=2.8, turn_index=4),
    )

    assert heard == [(TurnEnded, BOOK), (TurnEnded, "a table"), (TurnEnded, BOOK)]
