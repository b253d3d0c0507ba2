"""LiveKit's track egress: what it sends, byte for byte, and what is made of it."""

import numpy as np
import numpy.typing as npt
import pytest

from media.dialects.egress import EGRESS_FORMAT, EgressProtocol
from media.dialects.protocol import MAX_UNREADABLE, AudioReceived, Rejected

SECONDS = 0.5


def tone(hertz: float, amplitude: int) -> npt.NDArray[np.int16]:
    """At 48000 Hz."""
    times = np.arange(int(48000 * SECONDS)) / 48000
    return np.round(amplitude * np.sin(2 * np.pi * hertz * times)).astype("<i2")


def buffers(left: npt.NDArray[np.int16], right: npt.NDArray[np.int16], samples: int = 480) -> list[bytes]:
    """As GStreamer hands them out: 10 ms of both channels, interleaved."""
    both = np.column_stack([left, right]).astype("<i2").tobytes()
    return [both[at : at + 4 * samples] for at in range(0, len(both), 4 * samples)]


def heard(protocol: EgressProtocol, messages: list[bytes]) -> npt.NDArray[np.int16]:
    audio = b""
    for number, message in enumerate(messages):
        for event in protocol.receive(message, 0.01 * number):
            assert isinstance(event, AudioReceived)
            audio += event.audio
    return np.frombuffer(audio, "<i2")


@pytest.mark.parametrize("samples", [480, 441, 1])
def test_two_channels_at_48_khz_become_one_at_16(samples: int) -> None:
    sent = tone(440, 8000)
    messages = (
        buffers(sent, sent, samples)
        if samples > 1
        else [each for part in buffers(sent, sent) for each in (part[:4], part[4:])]
    )

    sound = heard(EgressProtocol(0.0), messages)

    assert len(sound) == pytest.approx(SECONDS * EGRESS_FORMAT.sample_rate, abs=320)
    steady = sound[2000:6000].astype(float)
    assert np.sqrt(np.mean(steady**2)) == pytest.approx(8000 / np.sqrt(2), rel=0.02)
    spectrum = np.abs(np.fft.rfft(steady))
    assert np.argmax(spectrum) * 16000 / 4000 == 440


def test_what_is_in_one_channel_only_is_heard_too() -> None:
    sent = tone(440, 8000)

    sound = heard(EgressProtocol(0.0), buffers(sent, np.zeros_like(sent)))

    assert np.abs(sound[2000:6000]).max() == pytest.approx(4000, rel=0.02)


def test_the_loudest_sound_in_both_channels_does_not_wrap_around() -> None:
    loudest = np.full(4800, 32767, "<i2")

    assert heard(EgressProtocol(0.0), buffers(loudest, loudest)).min() > -2000


@pytest.mark.parametrize("text", ['{"muted":true}', '{"muted":false}'])
def test_a_mute_is_known_and_needs_nothing_for_silence_goes_on(text: str) -> None:
    protocol = EgressProtocol(0.0)

    assert protocol.receive(text, 0.0) == []
    assert protocol.ignored == 0


def test_a_text_that_is_not_known_is_ignored_and_counted() -> None:
    protocol = EgressProtocol(0.0)

    assert protocol.receive('{"weather":"fine"}', 0.0) == []
    assert protocol.ignored == 1


@pytest.mark.parametrize("text", ["muted", "[true]", "", "\ud800"])
def test_a_text_that_makes_no_sense_affects_only_itself(text: str) -> None:
    protocol = EgressProtocol(0.0)

    assert protocol.receive(text, 0.0) == []
    assert (protocol.ignored, protocol.unreadable) == (1, "not a JSON object")


def test_one_who_never_makes_sense_is_refused() -> None:
    protocol = EgressProtocol(0.0)

    events = [event for _ in range(MAX_UNREADABLE + 1) for event in protocol.receive("muted", 0.0)]

    assert [(event.code, event.close_code) for event in events if isinstance(event, Rejected)] == [
        ("bad_message", 1003)
    ]
    assert protocol.is_over


@pytest.mark.parametrize("cut", [1, 2, 3, 1919])
def test_a_sample_that_is_cut_between_two_messages_is_heard_whole(cut: int) -> None:
    sent = buffers(tone(440, 8000), tone(440, 8000))
    joined = b"".join(sent)
    pieces = [joined[:cut], *(joined[at : at + 1920] for at in range(cut, len(joined), 1920))]

    in_pieces, whole = heard(EgressProtocol(0.0), pieces), heard(EgressProtocol(0.0), sent)

    both = min(len(in_pieces), len(whole))
    assert both > 7000
    assert np.allclose(in_pieces[:both], whole[:both], atol=40)  # the converter's blocks begin elsewhere


def test_it_has_started_when_it_is_open_and_ends_after_ten_seconds_without_audio() -> None:
    protocol = EgressProtocol(0.0)
    protocol.receive(b"\x00" * 1920, 2.9)
    protocol.receive(b"\x00" * 1920, 3.0)

    assert protocol.deadline_passed(12.9) == []
    (event,) = protocol.deadline_passed(13.0)
    assert isinstance(event, Rejected)
    assert event.code == "media_timeout"


def test_nothing_is_said_to_one_who_does_not_listen() -> None:
    protocol = EgressProtocol(0.0)

    said = [protocol.ready("call-1"), protocol.audio(b"\x00\x00"), protocol.mark("speech-1"), protocol.clear()]

    assert said == [None] * 4
    assert protocol.error("internal", "something went wrong") is None
    assert protocol.is_over
