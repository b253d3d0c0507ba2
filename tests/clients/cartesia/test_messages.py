import base64
import json

import pytest

from app.clients.cartesia.messages import (
    AudioChunk,
    CartesiaOptions,
    ContextDone,
    Failure,
    WordTimestamps,
    cancel_request,
    error_for_status,
    http_url,
    parse_answer,
    speech_fields,
    text_request,
    websocket_url,
)
from app.clients.messages import Unreadable
from app.errors import (
    ContentRejected,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import VoiceConfig
from app.ports.streams import SpokenWord

PLAIN = VoiceConfig(voice_id="voice-1", model="sonic-3.5", language="ru")


@pytest.mark.parametrize(
    ("base", "socket", "http"),
    [
        ("https://api.cartesia.ai", "wss://api.cartesia.ai/tts/websocket", "https://api.cartesia.ai"),
        ("http://127.0.0.1:1/cartesia/", "ws://127.0.0.1:1/cartesia/tts/websocket", "http://127.0.0.1:1/cartesia"),
        ("wss://eu.example", "wss://eu.example/tts/websocket", "https://eu.example"),
        ("ws://127.0.0.1:1/http", "ws://127.0.0.1:1/http/tts/websocket", "http://127.0.0.1:1/http"),
    ],
)
def test_both_addresses_follow_from_one_base(base: str, socket: str, http: str) -> None:
    assert (websocket_url(base), http_url(base)) == (socket, http)


def test_a_plain_voice_sends_no_manner() -> None:
    assert speech_fields(PLAIN, CartesiaOptions()) == {
        "model_id": "sonic-3.5",
        "voice": {"id": "voice-1"},
        "language": "ru",
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
    }


def test_manner_and_dictionary_are_sent_when_set() -> None:
    voice = VoiceConfig("v", "m", "en", speed=1.2, emotion="calm", encoding="mulaw", sample_rate=8000)

    fields = speech_fields(voice, CartesiaOptions(pronunciation_dict_id="dict-1"))

    assert fields["generation_config"] == {"speed": 1.2, "emotion": "calm"}
    assert fields["pronunciation_dict_id"] == "dict-1"
    assert fields["output_format"] == {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}


def test_only_what_differs_is_in_the_manner() -> None:
    voice = VoiceConfig("v", "m", "en", emotion="calm")
    assert speech_fields(voice, CartesiaOptions())["generation_config"] == {"emotion": "calm"}


def test_a_request_repeats_the_fields_and_keeps_the_text_verbatim() -> None:
    request = json.loads(text_request({"model_id": "m"}, "c:1", " Привет,\n", more=True))

    assert request == {
        "model_id": "m",
        "context_id": "c:1",
        "transcript": " Привет,\n",
        "continue": True,
        "add_timestamps": True,
        "max_buffer_delay_ms": 0,
    }


def test_cancelling_names_the_context_and_nothing_else() -> None:
    assert json.loads(cancel_request("c:1")) == {"context_id": "c:1", "cancel": True}


def test_audio_is_decoded() -> None:
    data = base64.b64encode(b"\x01\x02\x03").decode()
    message = json.dumps({"type": "chunk", "context_id": "c", "data": data, "done": False, "status_code": 206})
    assert parse_answer(message) == AudioChunk("c", b"\x01\x02\x03")


def test_words_have_times_in_seconds() -> None:
    times = {"words": ["раз", "два"], "start": [0, 0.5], "end": [0.4, 1]}
    message = json.dumps({"type": "timestamps", "context_id": "c", "word_timestamps": times})
    assert parse_answer(message) == WordTimestamps("c", (SpokenWord("раз", 0.0, 0.4), SpokenWord("два", 0.5, 1.0)))


def test_timestamps_may_be_without_words() -> None:
    assert parse_answer('{"type":"timestamps","context_id":"c"}') == WordTimestamps("c", ())


def test_the_end_of_a_context_is_read() -> None:
    assert parse_answer('{"type":"done","context_id":"c","done":true}') == ContextDone("c")


@pytest.mark.parametrize("kind", ["flush_done", "phoneme_timestamps", "something_new"])
def test_types_that_say_nothing_we_need_are_no_answer(kind: str) -> None:
    assert parse_answer(json.dumps({"type": kind, "context_id": "c"})) is None


@pytest.mark.parametrize(
    "message",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        b"\xff\xfe\x00",
        '{"type":7}',
        '{"type":"chunk","data":"AAAA"}',
        '{"type":"chunk","context_id":7,"data":"AAAA"}',
        '{"type":"done"}',
        '{"type":"timestamps","context_id":null}',
        '{"type":"done","context_id":"' + "c" * 300 + '"}',
    ],
)
def test_a_message_that_names_no_context_is_unreadable_and_not_repeated(message: str | bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        parse_answer(message)
    assert "json" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("data", ["null", '""', "false", "[]"])
def test_a_chunk_without_sound_says_nothing(data: str) -> None:
    assert parse_answer(f'{{"type":"chunk","context_id":"c","data":{data}}}') is None


@pytest.mark.parametrize("data", ['"not*base64"', '"AAA"', "7", '{"a":1}', '"тайна"', '"\\ud83d"', '["AAAA"]'])
def test_sound_that_cannot_be_read_costs_its_context(data: str) -> None:
    answer = parse_answer(f'{{"type":"chunk","context_id":"c","data":{data}}}')
    assert isinstance(answer, Failure)
    assert answer.context_id == "c"
    assert type(answer.error) is ProviderProtocolError
    assert str(answer.error) == "cartesia: sound that cannot be read"


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"chunk","context_id":"c","data":"AAA',
        '{"type":"chunk","context_id":"c","extra":' + "[" * 100_000,
        b'{"context_id":"c","data":"\xff"}',
    ],
)
def test_a_message_that_breaks_off_costs_the_context_that_it_names(message: str | bytes) -> None:
    answer = parse_answer(message)
    assert isinstance(answer, Failure)
    assert answer.context_id == "c"
    assert type(answer.error) is ProviderProtocolError


def test_of_broken_word_times_the_words_are_lost_and_an_end_stays_an_end() -> None:
    assert parse_answer('{"type":"timestamps","context_id":"c","word_timest') == WordTimestamps("c", (), is_whole=False)
    assert parse_answer('{"type":"done","context_id":"c","x":') == ContextDone("c")
    assert parse_answer('{"type":"flush_done","context_id":"c","x":') is None


def times(words: str, start: str, end: str) -> WordTimestamps:
    columns = f'{{"words":{words},"start":{start},"end":{end}}}'
    answer = parse_answer(f'{{"type":"timestamps","context_id":"c","word_timestamps":{columns}}}')
    assert isinstance(answer, WordTimestamps)
    return answer


@pytest.mark.parametrize("words", ["[1]", "null", '["a",null]', "7", '{"a":1}', '["a",["b"]]'])
def test_words_that_are_no_text_are_missing(words: str) -> None:
    assert times(words, "[0, 1]", "[1, 2]") == WordTimestamps("c", (), is_whole=words == "null")


@pytest.mark.parametrize("start", ["[0]", "null", "[0,1,2]", "7", '["0",null]', "[1e308,NaN]", f"[{'9' * 5000},-1]"])
def test_times_that_cannot_be_read_leave_the_words(start: str) -> None:
    answer = times('["a","b"]', start, "[0.2,0.4]")
    assert [word.text for word in answer.words] == ["a", "b"]
    assert answer.is_whole
    assert not any(word.is_exact for word in answer.words)


def test_a_word_without_a_time_of_its_own_stands_between_the_others() -> None:
    answer = times('["a","b","c"]', "[0,null,1]", "[0.4,0.5,1.5]")
    assert answer.words == (
        SpokenWord("a", 0.0, 0.4),
        SpokenWord("b", 0.4, 0.4, is_exact=False),
        SpokenWord("c", 1.0, 1.5),
    )
    assert times('["a"]', "[1]", "[0.5]").words == (SpokenWord("a", 1.0, 1.0),)
    assert times('["a"]', "[1]", "[null]").words == (SpokenWord("a", 1.0, 1.0),)


def test_an_error_keeps_its_code_and_request_and_not_its_prose() -> None:
    message = {
        "type": "error",
        "context_id": "c",
        "status_code": 400,
        "error_code": "model_not_found",
        "title": "Bad",
        "message": "cannot say 'my secret'",
        "request_id": "req-7",
    }

    answer = parse_answer(json.dumps(message))

    assert isinstance(answer, Failure)
    assert answer.context_id == "c"
    assert isinstance(answer.error, ProviderRejected)
    assert str(answer.error) == "cartesia: status 400, model_not_found"
    assert (answer.error.status, answer.error.request_id) == (400, "req-7")


def test_an_error_without_context_is_of_the_socket() -> None:
    answer = parse_answer('{"type":"error","error":"Internal: oops"}')
    assert isinstance(answer, Failure)
    assert answer.context_id is None
    assert isinstance(answer.error, ProviderUnavailable)


def test_an_error_code_that_is_prose_is_left_out() -> None:
    assert str(error_for_status(500, code="I said: hello")) == "cartesia: status 500"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, None, ContentRejected),
        (404, None, ProviderRejected),
        (401, None, ProviderRejected),
        (402, "quota_exceeded", ProviderRejected),
        (429, "quota_exceeded", ProviderRejected),
        (429, "concurrency_limited", ProviderRateLimited),
        (408, None, ProviderTimeout),
        (504, None, ProviderTimeout),
        (500, None, ProviderUnavailable),
        (503, None, ProviderUnavailable),
        (None, None, ProviderUnavailable),
    ],
)
def test_every_status_has_its_error(status: int | None, code: str | None, expected: type[ProviderError]) -> None:
    assert type(error_for_status(status, code=code)) is expected


def test_a_rate_limit_keeps_the_wish_to_wait() -> None:
    error = error_for_status(429, retry_after=2.5)
    assert isinstance(error, ProviderRateLimited)
    assert error.retry_after == 2.5
