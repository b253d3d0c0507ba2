"""What is likely wrong with sound that comes too fast."""

import pytest

from media.dialects.native import NativeProtocol
from media.dialects.pace import Pace
from media.dialects.protocol import ProtocolEvent, Rejected
from media.formats import AudioFormat
from tests.media.dialects.test_native import start

MULAW = AudioFormat("mulaw", 8000)


def too_fast(announced: str, frame_bytes: int, *, every: float = 0.02) -> Rejected:
    """The end of a stream that sends so many bytes at a time."""
    protocol, now = NativeProtocol(0.0), 0.0
    protocol.receive(announced, now)
    events: list[ProtocolEvent] = []
    while not protocol.is_over:
        events = protocol.receive(bytes(frame_bytes), now)
        now += every
    (event,) = events
    assert isinstance(event, Rejected)
    return event


@pytest.mark.parametrize(
    ("announced", "frame_bytes", "cause"),
    [
        (start("mulaw"), 320, "twice real time: is it 16-bit?"),
        (start("mulaw"), 640, "four times real time: is it 16-bit?"),
        (start("mulaw"), 960, "six times real time: is it 16-bit?"),
        (start("mulaw"), 1920, "twelve times real time: is it 16-bit?"),
        (start(sample_rate=8000), 640, "twice real time: is it 16000 Hz or two channels?"),
        (start(sample_rate=8000), 960, "three times real time: is it 24000 Hz?"),
        (start(sample_rate=16000), 1920, "three times real time: is it 48000 Hz?"),
        (start(sample_rate=8000), 512, "1.6 times real time: is it sent as it is made?"),
        (start(sample_rate=48000), 7680, "four times real time: is it of another format?"),
    ],
)
def test_the_speed_tells_what_was_sent_instead(announced: str, frame_bytes: int, cause: str) -> None:
    event = too_fast(announced, frame_bytes)

    assert (event.code, event.close_code) == ("audio_too_fast", 1008)
    assert event.detail == f"audio_too_fast: {cause}"
    assert event.message == f"more than 2 s ahead of real time; {cause}"


@pytest.mark.parametrize("frame_bytes", [40, 160, 4000, 8000])
def test_the_measured_speed_does_not_depend_on_the_length_of_frames(frame_bytes: int) -> None:
    event = too_fast(start("mulaw"), frame_bytes, every=frame_bytes / 32000)

    assert event.cause == "four times real time: is it 16-bit?"


def test_stored_audio_sent_at_once_is_not_mistaken_for_another_format() -> None:
    assert too_fast(start("mulaw"), 8000, every=0.0).cause == "all at once: is it sent as it is made?"


def test_a_clock_that_runs_a_little_fast_tells_nothing() -> None:
    pace = Pace(MULAW, 0.0)
    for second in range(200):
        pace.add(bytes(8000), 0.985 * second)

    assert pace.likely_cause(197.0) is None
