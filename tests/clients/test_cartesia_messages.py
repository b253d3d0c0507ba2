import base64
import json

import pytest

from app.clients.cartesia_messages import (
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
from app.clients.streams import SpokenWord
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import VoiceConfig

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

    fields = speech_fields(voice, CartesiaOptions(volume=0.8, pronunciation_dict_id="dict-1"))

    assert fields["generation_config"] == {"speed": 1.2, "emotion": "calm", "volume": 0.8}
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
    "garbage",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        b"\xff\xfe\x00",
        '{"type":"chunk","context_id":"c"}',
        '{"type":"chunk","context_id":"c","data":"not*base64"}',
        '{"type":"chunk","context_id":"c","data":7}',
        '{"type":"chunk","context_id":7,"data":""}',
        '{"type":"done"}',
        '{"type":"timestamps","context_id":"c","word_timestamps":{"words":["a"],"start":[0],"end":[]}}',
        '{"type":"timestamps","context_id":"c","word_timestamps":{"words":["a"],"start":[null],"end":[1]}}',
        '{"type":"timestamps","context_id":"c","word_timestamps":{"words":[1],"start":[0],"end":[1]}}',
        '{"type":"timestamps","context_id":"c","word_timestamps":[1]}',
        '{"type":"error","context_id":7}',
    ],
)
def test_garbage_is_a_protocol_error_that_repeats_nothing_of_it(garbage: str | bytes) -> None:
    with pytest.raises(ProviderProtocolError) as caught:
        parse_answer(garbage)

    assert str(caught.value) == "cartesia: an unreadable message"
    assert caught.value.__suppress_context__


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
        (400, None, ProviderRejected),
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
