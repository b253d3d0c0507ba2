"""Twilio Media Streams as a table of conversations; the messages are shaped as Twilio documents them."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.dialects.protocol import (
    CLOSE_CODES,
    MAX_UNREADABLE,
    AudioReceived,
    DtmfPressed,
    ErrorCode,
    MarkPlayed,
    ProtocolEvent,
    Rejected,
    Started,
    Stopped,
)
from media.dialects.twilio import TwilioProtocol
from media.formats import AudioFormat

SID = "MZ18ad3ab5a668481ce02b83e7395059f0"
CALL_SID = "CAdf8e9c3e5a2b4b8f8b7c6d5e4f3a2b1c"
CONNECTED = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
PARAMETERS = {"call_id": "call_1", "token": "secret-1"}
FRAME = b"\x7f" * 160


def message(event: str, content: Any = None, **more: Any) -> str:
    fields = {} if content is None else {event: content}
    return json.dumps({"event": event, "sequenceNumber": "3", "streamSid": SID, **fields, **more})


def start(**changed: Any) -> str:
    content = {
        "streamSid": SID,
        "accountSid": "AC0",
        "callSid": CALL_SID,
        "tracks": ["inbound"],
        "customParameters": PARAMETERS,
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    return message("start", {name: value for name, value in {**content, **changed}.items() if value is not ...})


def media(audio: bytes = FRAME, **more: Any) -> str:
    content = {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": b64encode(audio).decode()}
    return message("media", {**content, **more})


def started(now: float = 0.0) -> TwilioProtocol:
    protocol = TwilioProtocol(now)
    assert protocol.receive(CONNECTED, now) == []
    (event,) = protocol.receive(start(), now)
    assert isinstance(event, Started)
    return protocol


def refused(events: list[ProtocolEvent]) -> tuple[str | None, int]:
    (event,) = events
    assert isinstance(event, Rejected)
    return event.code, event.close_code


def test_a_start_says_whose_call_it_is() -> None:
    protocol = TwilioProtocol(0.0)

    assert protocol.receive(CONNECTED, 0.1) == []
    (event,) = protocol.receive(start(), 0.2)

    claims = {"call_id": "call_1", "token": "secret-1", "stream_sid": SID, "call_sid": CALL_SID}
    assert event == Started(AudioFormat("mulaw", 8000), claims=claims)
    assert protocol.ignored == 0


def test_the_token_is_not_shown_where_a_start_is_printed() -> None:
    (event,) = TwilioProtocol(0.0).receive(start(), 0.0)

    assert "secret-1" not in repr(event)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (media(), "bad_start"),
        (message("stop", {}), "bad_start"),
        (message("start"), "bad_start"),
        ("not json", "bad_start"),
        ("[]", "bad_start"),
        ('{"event": 7}', "bad_start"),
        ("[" * 100_000, "bad_start"),
        (b"\x00" * 160, "bad_start"),
        (start(customParameters=...), "bad_start"),
        (start(customParameters=["call_1"]), "bad_start"),
        (start(customParameters={"call_id": "call_1"}), "bad_start"),
        (start(customParameters={"token": "secret-1"}), "bad_start"),
        (start(customParameters={**PARAMETERS, "token": ""}), "bad_start"),
        (start(customParameters={**PARAMETERS, "token": 5}), "bad_start"),
        (start(customParameters={**PARAMETERS, "token": "x" * 129}), "bad_start"),
        (start(customParameters={**PARAMETERS, "token": "\ud800"}), "bad_start"),
        (start(customParameters={**PARAMETERS, "call_id": "call_1\x00"}), "bad_start"),
        (start(streamSid=...), "bad_start"),
        (start(callSid="two words"), "bad_start"),
        (start(mediaFormat=...), "bad_format"),
        (start(mediaFormat={"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1}), "bad_format"),
        (start(mediaFormat={"encoding": "audio/x-l16", "sampleRate": 8000, "channels": 1}), "bad_format"),
    ],
)
def test_a_stream_that_begins_wrong_is_refused(wrong: str | bytes, code: ErrorCode) -> None:
    protocol = TwilioProtocol(0.0)

    assert refused(protocol.receive(wrong, 0.0)) == (code, CLOSE_CODES[code])
    assert protocol.is_over


def test_a_start_that_does_not_come_in_five_seconds_is_missed() -> None:
    protocol = TwilioProtocol(0.0)
    protocol.receive(CONNECTED, 0.1)

    assert protocol.next_deadline() == 5.0
    assert refused(protocol.deadline_passed(5.0)) == ("bad_start", 1008)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (media(), AudioReceived(FRAME)),
        (message("media", {"payload": b64encode(b"\xff").decode()}), AudioReceived(b"\xff")),
        (message("dtmf", {"track": "inbound_track", "digit": "#"}), DtmfPressed("#")),
        (message("stop", {"accountSid": "AC0", "callSid": CALL_SID}), Stopped()),
    ],
)
def test_a_message_has_its_meaning(said: str, meant: ProtocolEvent) -> None:
    assert started().receive(said, 0.0) == [meant]


UNREADABLE = (
    "{",
    "[]",
    "[" * 100_000,
    "9" * 5000,
    '{"event": 7}',
    '{"event": null}',
    b"\x00" * 160,
    start(),
    message("media"),
    message("media", "audio"),
    message("media", {"track": "inbound"}),
    message("media", {"payload": None}),
    message("media", {"payload": ["AA=="]}),
    message("media", {"payload": "%%%%"}),
    message("media", {"payload": "AAA"}),
    message("media", {"payload": "ж"}),
    message("media", {"payload": "\ud800"}),
    media(b"\x00" * 8001),
    message("dtmf", {"digit": "12"}),
    message("dtmf", {"digit": None}),
    message("dtmf", 5),
    message("mark", {"name": 5}),
    message("mark", {"name": "x" * 129}),
)


@pytest.mark.parametrize("wrong", UNREADABLE)
def test_a_message_that_makes_no_sense_affects_only_itself(wrong: str | bytes) -> None:
    protocol = started()

    assert protocol.receive(wrong, 0.0) == []
    assert protocol.ignored == 1
    assert protocol.unreadable
    assert protocol.receive(media(), 0.0) == [AudioReceived(FRAME)]


def test_a_far_end_that_never_makes_sense_is_refused() -> None:
    protocol = started()
    for _ in range(MAX_UNREADABLE):
        assert protocol.receive("{", 0.0) == []

    assert refused(protocol.receive("{", 0.0)) == ("bad_message", CLOSE_CODES["bad_message"])


@pytest.mark.parametrize(
    "announced",
    [
        {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1, "bitDepth": 8},
        {"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"},
        {"encoding": "audio/x-mulaw", "sampleRate": 8000.0, "channels": 1.0},
        {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        {"encoding": "audio/x-mulaw", "sampleRate": None, "channels": None},
        {"encoding": "audio/x-mulaw"},
    ],
)
def test_twilios_format_is_accepted_in_every_spelling(announced: dict[str, Any]) -> None:
    (event,) = TwilioProtocol(0.0).receive(start(mediaFormat=announced), 0.0)

    assert isinstance(event, Started)
    assert event.format == AudioFormat("mulaw", 8000)


@pytest.mark.parametrize(
    ("announced", "shown"),
    [
        (None, "has none"),
        ({"encoding": "audio/x-l16"}, "encoding is audio/x-l16"),
        ({"encoding": "audio/x-mulaw", "sampleRate": 16000}, "sampleRate is 16000"),
        ({"encoding": "audio/x-mulaw", "channels": 10**400}, "channels is something else"),
        ({"encoding": "audio/x-mulaw", "channels": [1]}, "channels is list"),
        ({"encoding": "call me at\n+79990000001"}, "encoding is something else"),
        ({"encoding": "audio/x-mulaw", "sampleRate": float("nan")}, "sampleRate is nan"),
    ],
)
def test_a_format_that_is_refused_is_named_without_repeating_what_a_stranger_wrote(announced: Any, shown: str) -> None:
    (event,) = TwilioProtocol(0.0).receive(start(mediaFormat=announced), 0.0)

    assert isinstance(event, Rejected)
    assert event.code == "bad_format"
    assert event.message.endswith(shown)


@pytest.mark.parametrize("track", ["inbound", "inbound_track", None, 5, ["inbound"], ...])
def test_audio_of_any_track_but_our_own_is_the_callers(track: Any) -> None:
    content = {"payload": b64encode(FRAME).decode(), "track": track}
    sent = message("media", {name: value for name, value in content.items() if value is not ...})

    assert started().receive(sent, 0.0) == [AudioReceived(FRAME)]


@pytest.mark.parametrize("content", [None, {}, "now", 5, {"callSid": None}])
def test_a_stop_is_the_end_whatever_it_holds(content: Any) -> None:
    assert started().receive(message("stop", content), 0.0) == [Stopped()]


@pytest.mark.parametrize(
    "strange",
    [
        message("weather", {"sky": "blue"}),
        media(track="outbound"),
        media(b""),
        message("mark", {"name": "of nobody"}),
    ],
)
def test_what_is_strange_is_ignored_and_counted(strange: str) -> None:
    protocol = started()

    assert protocol.receive(strange, 0.0) == []
    assert protocol.ignored == 1
    assert not protocol.is_over


def test_a_message_over_128_kib_ends_the_stream_without_an_error_message() -> None:
    assert refused(started().receive(media(b"\xff" * 100_000), 0.0)) == (None, 1009)


def test_audio_is_expected_in_real_time() -> None:
    protocol = started()

    for second in range(2):
        assert len(protocol.receive(media(b"\xff" * 8000), 0.0)) == 1, second
    assert refused(protocol.receive(media(), 0.0)) == ("audio_too_fast", 1008)


def test_ten_seconds_without_audio_are_too_long() -> None:
    protocol = started()
    protocol.receive(media(), 3.0)

    assert protocol.deadline_passed(12.9) == []
    assert refused(protocol.deadline_passed(13.0)) == ("media_timeout", 1008)


def test_what_is_sent_names_the_stream_and_carries_audio_as_base64() -> None:
    protocol = started()

    sent = [protocol.audio(b"\x00\xff\x7f"), protocol.mark("speech-1"), protocol.clear()]

    assert [json.loads(each) for each in sent] == [
        {"event": "media", "streamSid": SID, "media": {"payload": "AP9/"}},
        {"event": "mark", "streamSid": SID, "mark": {"name": "speech-1"}},
        {"event": "clear", "streamSid": SID},
    ]


def test_twilio_has_no_messages_for_the_beginning_the_journal_and_the_end() -> None:
    protocol = started()

    assert (protocol.ready("call_1"), protocol.event({"seq": 1})) == (None, None)
    assert protocol.end("agent_hangup") is None
    assert protocol.is_over
    assert started().error("internal", "something went wrong") is None


def test_a_mark_that_comes_back_was_played() -> None:
    protocol = started()
    protocol.mark("speech-1")

    assert protocol.receive(message("mark", {"name": "speech-1"}), 0.0) == [MarkPlayed("speech-1")]
    assert protocol.receive(message("mark", {"name": "speech-1"}), 0.0) == []


def test_a_mark_that_comes_back_after_a_clear_may_have_been_thrown_away_and_does_not_count() -> None:
    protocol = started()
    protocol.mark("speech-1")
    protocol.clear()
    protocol.mark("speech-2")

    assert protocol.receive(message("mark", {"name": "speech-1"}), 0.0) == []
    assert protocol.receive(message("mark", {"name": "speech-2"}), 0.0) == [MarkPlayed("speech-2")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
messages = st.one_of(
    st.text(),
    st.binary(),
    st.builds(
        lambda event, content: message(event, content),
        st.sampled_from(["start", "media", "mark", "dtmf", "stop", "x"]),
        json_values,
    ),
    st.sampled_from([CONNECTED, start(), media(), media(track="outbound")]),
)


@given(st.lists(messages, max_size=8))
def test_whatever_comes_nothing_is_raised_and_the_end_is_the_end(coming: list[str | bytes]) -> None:
    protocol = TwilioProtocol(0.0)
    for number, each in enumerate(coming):
        was_over = protocol.is_over
        events = protocol.receive(each, 0.02 * number)
        assert not (was_over and events)
        assert protocol.is_over == (protocol.next_deadline() is None)
