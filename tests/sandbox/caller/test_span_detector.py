"""Spans of sound, found by energy."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.caller.span_detector import Span, SpanDetector, spans_of, trimmed
from sandbox.vendors.encodings import Samples

RATE = 8000


def tone(seconds: float, level: int = 8000) -> Samples:
    """Loud at its first sample and, being of whole half periods, at its last."""
    return (np.cos(np.pi * np.arange(round(seconds * RATE)) / 10) * level).round().astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)


def sound(*parts: Samples) -> Samples:
    return np.concatenate(parts)


def about(*spans: tuple[float, float]) -> list[tuple[object, object]]:
    """Within one sample, or the zero crossing in the last of them."""
    return [(pytest.approx(start, abs=1.5 / RATE), pytest.approx(end, abs=1.5 / RATE)) for start, end in spans]


def edges(spans: tuple[Span, ...]) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in spans]


def test_a_span_begins_and_ends_with_its_loud_samples() -> None:
    assert edges(spans_of(sound(silence(0.1234), tone(0.3), silence(0.2)), RATE)) == about((0.1234, 0.4234))


def test_silence_and_sound_below_the_threshold_give_no_span() -> None:
    assert spans_of(silence(1.0), RATE) == ()
    assert spans_of(tone(1.0, level=100), RATE) == ()


def test_a_pause_shorter_than_the_gap_belongs_to_the_span_and_a_longer_one_parts_two() -> None:
    heard = sound(tone(0.2), silence(0.2), tone(0.2), silence(0.3), tone(0.1))

    assert edges(spans_of(heard, RATE)) == about((0.0, 0.6), (0.9, 1.0))


def test_the_threshold_can_be_raised_above_a_noise() -> None:
    detector = SpanDetector(RATE, threshold_dbfs=-20)
    detector.feed(0.0, sound(tone(0.2, level=1000), tone(0.2)))

    assert edges(detector.spans) == about((0.2, 0.4))


def test_sound_that_was_cut_off_ends_at_the_cut() -> None:
    detector = SpanDetector(RATE)
    detector.feed(0.0, tone(0.203))
    detector.feed(1.0, tone(0.1))
    detector.flush()

    assert edges(detector.spans) == about((0.0, 0.203), (1.0, 1.1))


def test_the_rest_of_a_window_is_heard_when_nothing_follows() -> None:
    detector = SpanDetector(RATE)
    detector.feed(0.0, tone(0.005))

    assert detector.last is None
    detector.flush()
    assert edges(detector.spans) == about((0.0, 0.005))


def test_an_utterance_is_what_was_said_without_taking_breath() -> None:
    detector = SpanDetector(RATE)
    detector.feed(0.0, sound(tone(0.2), silence(0.8), tone(0.2), silence(0.4), tone(0.2)))

    assert len(detector.spans) == 3
    assert edges((detector.utterance(0.6) or Span(0, 0),)) == about((1.0, 1.8))
    assert SpanDetector(RATE).utterance(0.6) is None


def test_silence_around_a_recording_is_trimmed() -> None:
    speech = sound(tone(0.1), silence(0.4), tone(0.1))

    kept = trimmed(sound(silence(0.123), speech, silence(0.2)), RATE)

    assert abs(len(kept) - len(speech)) <= 1
    assert np.array_equal(kept, speech[: len(kept)])
    assert len(trimmed(silence(0.2), RATE)) == 0


@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=30),
    st.lists(st.tuples(st.booleans(), st.integers(1, 600)), min_size=1, max_size=8),
)
@example([1], [(True, 40), (False, 250), (True, 10)])  # just the gap
@example([1], [(True, 41), (False, 255), (True, 10)])  # a little more than the gap, over the edges of windows
def test_the_size_of_the_pieces_makes_no_difference(sizes: list[int], parts: list[tuple[bool, int]]) -> None:
    heard = sound(*[tone(millis / 1000) if loud else silence(millis / 1000) for loud, millis in parts])
    whole, pieced = SpanDetector(RATE), SpanDetector(RATE)
    whole.feed(0.0, heard)
    first = 0
    while first < len(heard):
        size = sizes[first % len(sizes)]
        pieced.feed(first / RATE, heard[first : first + size])
        first += size

    assert np.allclose(edges(pieced.spans), edges(whole.spans), rtol=0, atol=1e-6)
