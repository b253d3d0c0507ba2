"""The native media protocol as a table of conversations, and its laws over any messages."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.dialects.native import NativeProtocol
from media.dialects.protocol import (
    CLOSE_CODES,
    MAX_OPEN_MARKS,
    AudioReceived,
    Cleared,
    DtmfPressed,
    ErrorCode,
    MarkPlayed,
    ProtocolEvent,
    Rejected,
    Started,
    Stopped,
    TextTyped,
)
from media.formats import AudioFormat

PCM = AudioFormat("pcm_s16le", 8000)
FRAME = b"\x01\x00" * 160


def start(encoding: Any = "pcm_s16le", sample_rate: Any = 8000, **more: Any) -> str:
    return json.dumps({"type": "start", "format": {"encoding": encoding, "sample_rate": sample_rate}, **more})


def text(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def started(now: float = 0.0) -> NativeProtocol:
    protocol = NativeProtocol(now)
    assert protocol.receive(start(), now) == [Started(PCM, wants_events=False)]
    return protocol


def as_id(value: str | bytes) -> str:
    """Short enough for a line, and no two alike."""
    return str(value) if len(value) < 90 else f"{value[:10]!r} {len(value)} long"


def refused(protocol: NativeProtocol, message: str | bytes, now: float = 0.0) -> tuple[str | None, int]:
    (event,) = protocol.receive(message, now)
    assert isinstance(event, Rejected)
    assert event.message
    assert protocol.is_over
    assert protocol.next_deadline() is None
    assert protocol.receive(FRAME, now) == []
    assert protocol.deadline_passed(now + 100) == []
    return event.code, event.close_code


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (start(), Started(PCM, wants_events=False)),
        (start("mulaw"), Started(AudioFormat("mulaw", 8000), wants_events=False)),
        (start(sample_rate=48000, events=True), Started(AudioFormat("pcm_s16le", 48000), wants_events=True)),
        (start(events=False), Started(PCM, wants_events=False)),
    ],
)
def test_a_start_says_the_format(message: str, expected: Started) -> None:
    assert NativeProtocol(0.0).receive(message, 1.0) == [expected]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (FRAME, "bad_start"),
        ("", "bad_start"),
        ("not json", "bad_start"),
        ("[]", "bad_start"),
        ("{}", "bad_start"),
        ('{"type": 5}', "bad_start"),
        ("[" * 100_000, "bad_start"),
        ("9" * 5000, "bad_start"),
        (text("dtmf", digit="1"), "bad_start"),
        (text("stop"), "bad_start"),
        (text("start"), "bad_start"),
        (text("start", format="mulaw"), "bad_start"),
        (start(events="yes"), "bad_start"),
        (start(events=None), "bad_start"),
        (start("opus"), "bad_format"),
        (start(None), "bad_format"),
        (start(["mulaw"]), "bad_format"),
        (start("mulaw", 16000), "bad_format"),
        (start(sample_rate=44100), "bad_format"),
        (start(sample_rate="8000"), "bad_format"),
        (start(sample_rate=8000.0), "bad_format"),
        (start(sample_rate=True), "bad_format"),
    ],
    ids=as_id,
)
def test_a_stream_that_begins_wrong_is_refused(message: str | bytes, code: ErrorCode) -> None:
    assert refused(NativeProtocol(0.0), message) == (code, CLOSE_CODES[code])


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not json", "bad_message"),
        ("null", "bad_message"),
        ("{}", "bad_message"),
        (start(), "bad_message"),
        (text("dtmf"), "bad_message"),
        (text("dtmf", digit="12"), "bad_message"),
        (text("dtmf", digit=""), "bad_message"),
        (text("dtmf", digit="a"), "bad_message"),
        (text("dtmf", digit=5), "bad_message"),
        (text("text"), "bad_message"),
        (text("text", text=["hello"]), "bad_message"),
        (text("text", text="x" * 1001), "bad_message"),
        (text("mark"), "bad_message"),
        (text("mark", name=7), "bad_message"),
        (text("mark", name="x" * 129), "bad_message"),
        (text("cleared", played_samples=-1), "bad_message"),
        (text("cleared", played_samples=1.5), "bad_message"),
        (text("cleared", played_samples=True), "bad_message"),
        (text("cleared", played_samples=None), "bad_message"),
        (b"\x00" * 16002, "bad_message"),
    ],
    ids=as_id,
)
def test_a_wrong_message_ends_the_stream(message: str | bytes, code: ErrorCode) -> None:
    assert refused(started(), message) == (code, CLOSE_CODES[code])


@pytest.mark.parametrize("message", [b"\0" * 131_073, "x" * 131_073, '"' + "я" * 65_536, "😀" * 32_769])
def test_a_message_over_128_kib_is_closed_without_a_word(message: str | bytes) -> None:
    assert refused(started(), message) == (None, 1009)


def test_a_message_of_128_kib_is_read() -> None:
    protocol = started()
    padding = 131_072 - len(text("later", padding=""))

    assert protocol.receive(text("later", padding="x" * padding), 0.0) == []
    assert protocol.ignored == 1


@pytest.mark.parametrize("digit", list("0123456789*#ABCD"))
def test_each_key_is_reported(digit: str) -> None:
    assert started().receive(text("dtmf", digit=digit), 0.0) == [DtmfPressed(digit)]


@pytest.mark.parametrize(
    ("written", "read"),
    [("Алло!", "Алло!"), ("  two\n lines\t ", "two lines"), ("a\u200b\x00b\u2028c", "a b c"), ("x" * 1000, "x" * 1000)],
)
def test_a_typed_text_comes_as_one_printable_line(written: str, read: str) -> None:
    assert started().receive(text("text", text=written), 0.0) == [TextTyped(read)]


@pytest.mark.parametrize("written", ["", "  \n", "\u200b"])
def test_nothing_typed_is_no_turn(written: str) -> None:
    assert started().receive(text("text", text=written), 0.0) == []


def test_audio_of_any_length_up_to_a_second_is_passed_on() -> None:
    protocol = started()

    assert protocol.receive(b"\x01\x02", 0.0) == [AudioReceived(b"\x01\x02")]
    assert protocol.receive(b"\x01\x02" * 8000, 0.0) == [AudioReceived(b"\x01\x02" * 8000)]


def test_stop_is_the_end_and_no_error() -> None:
    protocol = started()

    assert protocol.receive(text("stop"), 1.0) == [Stopped()]
    assert protocol.is_over
    assert protocol.receive(FRAME, 1.0) == []


def test_what_is_unknown_is_ignored_and_counted() -> None:
    protocol = NativeProtocol(0.0)
    assert protocol.receive(text("hello"), 0.0) == []
    assert protocol.receive(b"", 0.0) == []
    assert len(protocol.receive(start(color="red"), 0.0)) == 1
    assert protocol.receive(b"", 0.0) == []
    assert protocol.receive(text("mark", name="never sent"), 0.0) == []
    assert protocol.receive(text("cleared", played_samples=5), 0.0) == []
    assert protocol.receive(text("dtmf", digit="1", duration=100, volume=3), 0.0) == [DtmfPressed("1")]

    assert protocol.ignored == 8


def test_unknown_keys_of_a_format_are_ignored_and_counted() -> None:
    protocol = NativeProtocol(0.0)
    message = text("start", format={"encoding": "mulaw", "sample_rate": 8000, "channels": 1})

    assert protocol.receive(message, 0.0) == [Started(AudioFormat("mulaw", 8000), wants_events=False)]
    assert protocol.ignored == 1


def test_a_client_that_does_not_start_is_refused_after_5_seconds() -> None:
    protocol = NativeProtocol(100.0)

    assert protocol.next_deadline() == 105.0
    assert protocol.deadline_passed(104.9) == []
    (event,) = protocol.deadline_passed(105.0)
    assert isinstance(event, Rejected)
    assert (event.code, event.close_code) == ("bad_start", 1008)
    assert protocol.next_deadline() is None


def test_a_client_that_sends_no_audio_for_10_seconds_is_refused() -> None:
    protocol = started(3.0)
    assert protocol.next_deadline() == 13.0
    protocol.receive(FRAME, 9.0)
    protocol.receive(text("dtmf", digit="1"), 18.0)
    protocol.receive(b"", 18.0)

    assert protocol.next_deadline() == 19.0
    (event,) = protocol.deadline_passed(19.0)
    assert isinstance(event, Rejected)
    assert (event.code, event.close_code) == ("media_timeout", 1008)


def test_two_seconds_ahead_of_real_time_are_allowed_and_no_more() -> None:
    protocol = started(10.0)
    for _ in range(100):
        assert protocol.receive(FRAME, 10.0) == [AudioReceived(FRAME)]

    assert refused(protocol, b"\x00\x00", 10.0) == ("audio_too_fast", 1008)


def test_a_backlog_after_a_stall_is_not_too_fast() -> None:
    protocol = started()
    for _ in range(50):
        protocol.receive(FRAME, 1.0)

    burst = [protocol.receive(FRAME, 9.0) for _ in range(500)]

    assert burst == [[AudioReceived(FRAME)]] * 500
    assert refused(protocol, FRAME, 9.0) == ("audio_too_fast", 1008)


def test_a_mark_is_reported_once_after_it_has_been_played() -> None:
    protocol = started()
    assert json.loads(protocol.mark("clause-1")) == {"type": "mark", "name": "clause-1"}

    assert protocol.receive(text("mark", name="clause-1"), 1.0) == [MarkPlayed("clause-1")]
    assert protocol.receive(text("mark", name="clause-1"), 1.0) == []


def test_a_mark_on_its_way_while_we_clear_still_counts_and_after_the_answer_none_does() -> None:
    protocol = started()
    for name in ("a", "b"):
        protocol.mark(name)
    assert json.loads(protocol.clear()) == {"type": "clear"}
    protocol.mark("c")

    assert protocol.receive(text("mark", name="a"), 1.0) == [MarkPlayed("a")]
    assert protocol.receive(text("cleared", played_samples=480), 1.0) == [Cleared(480)]
    assert protocol.receive(text("mark", name="b"), 1.0) == []
    assert protocol.receive(text("mark", name="c"), 1.0) == [MarkPlayed("c")]


def test_each_clear_has_one_answer_and_the_number_may_be_missing() -> None:
    protocol = started()
    protocol.mark("a")
    protocol.clear()
    protocol.clear()

    assert protocol.receive(text("cleared"), 1.0) == [Cleared(None)]
    assert protocol.receive(text("mark", name="a"), 1.0) == [MarkPlayed("a")]
    assert protocol.receive(text("cleared", played_samples=0), 1.0) == [Cleared(0)]
    assert protocol.receive(text("cleared", played_samples=0), 1.0) == []


def test_a_client_that_echoes_no_marks_does_not_fill_the_memory() -> None:
    protocol = started()
    for number in range(MAX_OPEN_MARKS + 1):
        protocol.mark(str(number))

    assert protocol.receive(text("mark", name="0"), 0.0) == []
    assert protocol.receive(text("mark", name="1"), 0.0) == [MarkPlayed("1")]


def test_the_servers_messages_are_as_the_contract_says() -> None:
    protocol = started()

    assert json.loads(protocol.ready("c1")) == {
        "type": "ready",
        "call_id": "c1",
        "format": {"encoding": "pcm_s16le", "sample_rate": 8000},
    }
    assert (
        protocol.event({"data": {"text": "Здравствуйте"}})
        == '{"type": "event", "event": {"data": {"text": "Здравствуйте"}}}'
    )
    assert json.loads(protocol.end("caller_hangup")) == {"type": "end", "reason": "caller_hangup"}
    assert json.loads(started().error("internal", "sorry")) == {"type": "error", "code": "internal", "message": "sorry"}


def test_there_is_no_ready_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="ready before start"):
        NativeProtocol(0.0).ready("c1")


def test_after_our_own_last_message_nothing_is_accepted() -> None:
    ended, failed = started(), started()
    ended.end("agent_hangup")
    failed.error("internal", "sorry")

    for protocol in (ended, failed):
        assert protocol.is_over
        assert protocol.receive(FRAME, 1.0) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
fields = {
    "digit": st.sampled_from(["1", "#", "a", "11"]) | json_values,
    "name": st.sampled_from(["m0", "m1"]) | json_values,
    "played_samples": st.integers(-2, 50) | json_values,
    "format": st.fixed_dictionaries(
        {"encoding": st.sampled_from(["mulaw", "pcm_s16le", "opus"]), "sample_rate": st.sampled_from([8000, 16000, 1])}
    )
    | json_values,
    "events": st.booleans() | json_values,
}
objects = st.fixed_dictionaries(
    {"type": st.sampled_from(["start", "dtmf", "text", "mark", "cleared", "stop", "new"]) | json_values},
    optional=fields,
)
messages = st.one_of(
    st.just(start()),
    objects.map(json.dumps),
    json_values.map(json.dumps),
    st.text(max_size=8),
    st.binary(max_size=9),
    st.integers(0, 20_000).map(bytes),
)
steps = st.lists(
    st.tuples(st.sampled_from(["receive", "deadline", "mark", "clear"]), messages, st.floats(0, 6)), max_size=30
)


@given(st.booleans(), steps)
@settings(max_examples=200)
def test_no_messages_raise_and_after_the_end_nothing_more_is_accepted(
    begins_well: bool, steps: list[tuple[str, str | bytes, float]]
) -> None:
    protocol, now = started() if begins_well else NativeProtocol(0.0), 0.0
    events: list[ProtocolEvent] = []
    for number, (what, message, pause) in enumerate(steps):
        now += pause
        was_over, was_ignored = protocol.is_over, protocol.ignored
        match what:
            case "receive":
                new = protocol.receive(message, now)
            case "deadline":
                new = protocol.deadline_passed(now)
            case "mark":
                new = []
                protocol.mark(f"m{number % 2}")
            case _:
                new = []
                protocol.clear()
        assert len(new) <= 1
        assert not (new and was_over)
        assert protocol.ignored >= was_ignored
        assert (protocol.next_deadline() is None) == protocol.is_over
        events += new

    last = [isinstance(event, Rejected | Stopped) for event in events]
    assert sum(last) == protocol.is_over
    assert not any(last[:-1])
    starts = [index for index, event in enumerate(events) if isinstance(event, Started)]
    assert starts in ([], [0])
    for event in events:
        if isinstance(event, AudioReceived):
            assert begins_well or starts == [0]
            assert event.audio
        if isinstance(event, Rejected) and event.code:
            assert event.close_code == CLOSE_CODES[event.code]
