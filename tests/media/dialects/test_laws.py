"""Laws of every dialect of a media stream, whatever the far end sends: each field of each message wrong in every way,
each character changed, in any order."""

import copy
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.dialects.egress import EgressProtocol
from media.dialects.native import NativeProtocol
from media.dialects.protocol import (
    CLOSE_CODES,
    CLOSE_TOO_BIG,
    MAX_TYPED_CHARACTERS,
    AudioReceived,
    Cleared,
    DtmfPressed,
    MarkPlayed,
    ProtocolEvent,
    Rejected,
    Started,
    Stopped,
    StreamProtocol,
    TextTyped,
)
from media.dialects.twilio import TwilioProtocol
from media.dtmf import KEYS

Message = str | bytes
SID = "MZ18ad3ab5a668481ce02b83e7395059f0"
SECRET = "тайна +79990000001"
NATIVE_START: dict[str, Any] = {
    "type": "start",
    "format": {"encoding": "pcm_s16le", "sample_rate": 8000},
    "events": True,
}
TWILIO_START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": SID,
    "start": {
        "accountSid": "AC0",
        "streamSid": SID,
        "callSid": "CA0",
        "tracks": ["inbound"],
        "customParameters": {"call_id": "call_1", "token": "secret-1"},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}


def _twilio(event: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"event": event, "sequenceNumber": "4", "streamSid": SID, event: content}


MULAW = b64encode(b"\x7f" * 160).decode()
MESSAGES: dict[str, list[dict[str, Any]]] = {
    "native": [
        {"type": "dtmf", "digit": "5"},
        {"type": "text", "text": "hello"},
        {"type": "mark", "name": "speech-1"},
        {"type": "cleared", "played_samples": 5},
    ],
    "twilio": [
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        _twilio("media", {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": MULAW}),
        _twilio("dtmf", {"track": "inbound_track", "digit": "5"}),
        _twilio("mark", {"name": "speech-1"}),
    ],
    "egress": [{"muted": True}, {"muted": False}],
}
"""Messages in which nothing is wrong, save those that begin and end a stream."""
SOUND: dict[str, Message] = {
    "native": bytes(320),
    "twilio": json.dumps(MESSAGES["twilio"][1]),
    "egress": bytes(4 * 960),
}
"""20 ms of the caller, as each sends it."""
WRONG: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    float("inf"),
    float("nan"),
    10**400,
    "",
    "5",
    "\x00",
    "\ud800",
    SECRET,
    "x" * 5000,
    [],
    ["5"],
    {},
    {"name": "speech-1"},
    [[[[[[[[{"deep": [[[[]]]]}]]]]]]]],
)
"""What may stand where something else belongs."""


def new_stream(dialect: str) -> StreamProtocol:
    """One that has started, with a mark that may come back."""
    if dialect == "egress":
        return EgressProtocol(0.0)
    if dialect == "native":
        stream: StreamProtocol = NativeProtocol(0.0)
        (event,) = stream.receive(json.dumps(NATIVE_START), 0.0)
    else:
        stream = TwilioProtocol(0.0)
        (event,) = stream.receive(json.dumps(TWILIO_START), 0.0)
    assert isinstance(event, Started)
    stream.mark("speech-1")
    stream.clear()
    stream.mark("speech-1")
    return stream


def paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Of every object and every value within a message."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))


def changed(message: dict[str, Any], path: tuple[str, ...], change: Callable[[dict[str, Any], str], None]) -> str:
    """The message with one thing changed at its place."""
    whole = {"message": copy.deepcopy(message)}
    *outer, last = ("message", *path)
    place: dict[str, Any] = whole
    for key in outer:
        place = place[key]
    change(place, last)
    return json.dumps(whole.get("message"))


def wrong_fields(message: dict[str, Any]) -> Iterator[str]:
    """The message with each of its fields absent, and in every way wrong; and with one key twice."""
    for path in paths(message):
        if path:
            yield changed(message, path, lambda place, key: place.pop(key))
        for value in WRONG:
            yield changed(message, path, lambda place, key, value=value: place.update({key: value}))  # type: ignore[misc]  # the default is bound
    text = json.dumps(message)
    first = next(iter(message))
    yield f'{text[:-1]}, "{first}": null}}'
    yield f'{{"{first}": null, {text[1:]}'


def look_at(stream: StreamProtocol, events: list[ProtocolEvent]) -> None:
    """What may come out of a stream, and what may not."""
    assert len(events) <= 1
    assert stream.is_over == (stream.next_deadline() is None)
    for event in events:
        match event:
            case AudioReceived(audio):
                assert audio
                assert len(audio) % (1 if stream.dialect == "twilio" else 2) == 0
            case DtmfPressed(digit):
                assert digit in KEYS
            case TextTyped(written):
                assert written.isprintable()
                assert 0 < len(written) <= MAX_TYPED_CHARACTERS
            case MarkPlayed(name):
                assert name == "speech-1"
            case Cleared(played_samples):
                assert played_samples is None or played_samples >= 0
            case Rejected(code, message, close_code):
                assert close_code == (CLOSE_TOO_BIG if code is None else CLOSE_CODES[code])
                assert stream.is_over
                for said in (message, event.detail):
                    assert said.isascii()
                    assert len(said) < 200
                    assert SECRET not in said
            case Started() | Stopped():
                pass


def costs_nothing_more(dialect: str, strange: Message) -> str | None:
    """The error of a stream that ended by this message; None when the next sound is heard."""
    stream = new_stream(dialect)
    stream.receive(SOUND[dialect], 0.02)
    look_at(stream, events := stream.receive(strange, 0.04))
    if events and isinstance(events[0], Rejected):
        return events[0].code or "too big"
    if stream.is_over:
        return None if isinstance(events[0], Stopped) else "over"
    heard = [event for number in range(3) for event in stream.receive(SOUND[dialect], 0.06 + 0.02 * number)]
    assert any(isinstance(event, AudioReceived) for event in heard)
    return None


@pytest.mark.parametrize("dialect", ["twilio", "egress"])
def test_a_carriers_message_with_any_wrong_field_is_the_only_one_dropped(dialect: str) -> None:
    ended = {
        text[:200]: error
        for message in MESSAGES[dialect]
        for text in wrong_fields(message)
        if (error := costs_nothing_more(dialect, text)) is not None
    }

    assert ended == {}


def test_a_wrong_message_of_our_own_dialect_ends_the_stream_as_bad_message_or_is_ignored() -> None:
    errors = {costs_nothing_more("native", text) for message in MESSAGES["native"] for text in wrong_fields(message)}

    assert errors == {None, "bad_message"}


@pytest.mark.parametrize(
    ("start", "make", "codes"),
    [
        (NATIVE_START, NativeProtocol, {"bad_start", "bad_format"}),
        (TWILIO_START, TwilioProtocol, {"bad_start", "bad_format"}),
    ],
)
def test_a_start_that_is_wrong_in_any_field_is_taken_or_refused_by_name(
    start: dict[str, Any], make: Callable[[float], StreamProtocol], codes: set[str]
) -> None:
    for text in wrong_fields(start):
        stream = make(0.0)
        look_at(stream, events := stream.receive(text, 0.0))
        for event in events:
            assert isinstance(event, Started) or (isinstance(event, Rejected) and event.code in codes), text[:200]


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        *((dialect, message) for dialect, messages in MESSAGES.items() for message in messages),
        ("native start", NATIVE_START),
        ("twilio start", TWILIO_START),
    ],
)
def test_an_unknown_field_anywhere_changes_nothing(dialect: str, message: dict[str, Any]) -> None:
    def meaning(text: str) -> list[ProtocolEvent]:
        fresh: dict[str, Callable[[], StreamProtocol]] = {
            "native start": lambda: NativeProtocol(0.0),
            "twilio start": lambda: TwilioProtocol(0.0),
        }
        stream = fresh[dialect]() if dialect in fresh else new_stream(dialect)
        return stream.receive(text, 0.0)

    for path in paths(message):
        for value in WRONG:

            def add(place: dict[str, Any], key: str, value: Any = value) -> None:
                if isinstance(place[key], dict):
                    place[key]["newlyInvented"] = value

            assert meaning(changed(message, path, add)) == meaning(json.dumps(message))


characters = st.characters() | st.sampled_from('"\\{}[]:,0eE.-') | st.just("\ud800")
texts = st.sampled_from(
    [json.dumps(each) for messages in MESSAGES.values() for each in (*messages, NATIVE_START, TWILIO_START)]
)


@st.composite
def spoiled_texts(draw: st.DrawFn) -> str:
    """A message in which some characters are others, are missing, or come twice."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(text) - 1)))
        text = text[:at] + draw(st.just("") | characters | st.just(text[at : at + 1] * 2)) + text[at + 1 :]
    return text


anything = st.one_of(
    texts,
    spoiled_texts(),
    st.text(max_size=20),
    st.binary(max_size=700),
    st.sampled_from([*SOUND.values(), b"\x00", "[" * 5000, "9" * 5000, "9" * 400, "x" * 131_073, bytes(131_073)]),
    st.just('{"event": "stop"}') | st.just('{"type": "stop"}'),
)


@given(st.sampled_from(["native", "twilio", "egress"]), st.booleans(), st.lists(anything, max_size=12))
def test_whatever_comes_in_whatever_order_nothing_is_raised_and_the_end_is_the_end(
    dialect: str, has_started: bool, coming: list[Message]
) -> None:
    makers: dict[str, Callable[[float], StreamProtocol]] = {
        "native": NativeProtocol,
        "twilio": TwilioProtocol,
        "egress": EgressProtocol,
    }
    stream = new_stream(dialect) if has_started else makers[dialect](0.0)
    for number, each in enumerate(coming):
        was_over = stream.is_over
        look_at(stream, events := stream.receive(each, 0.02 * number))
        assert not (was_over and events)
    look_at(stream, stream.deadline_passed(1e9))
    assert stream.is_over


@given(st.sampled_from(["twilio", "egress"]), spoiled_texts())
def test_a_character_that_is_spoiled_costs_a_carriers_call_nothing(dialect: str, spoiled: str) -> None:
    assert costs_nothing_more(dialect, spoiled) is None


@given(st.sampled_from(["native", "egress"]), st.lists(st.binary(min_size=1, max_size=700), min_size=1, max_size=12))
def test_sound_that_is_cut_anywhere_is_whole_samples_and_never_an_error(dialect: str, pieces: list[bytes]) -> None:
    stream = new_stream(dialect)
    for number, piece in enumerate(pieces):
        look_at(stream, events := stream.receive(piece, 0.1 * number))
        assert not any(isinstance(event, Rejected) for event in events)
