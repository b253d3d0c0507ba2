"""What the caller makes of what he hears; the clock is written by hand."""

import numpy as np

from sandbox.caller.hearing import CallerHearing
from sandbox.vendors.encodings import Samples

RATE = 8000


def tone(seconds: float) -> Samples:
    return (np.cos(np.pi * np.arange(round(seconds * RATE)) / 10) * 8000).astype(np.int16)


def having_heard(*speech: tuple[float, float], until: float) -> CallerHearing:
    """Speech is (arrival, seconds)."""
    hearing = CallerHearing(RATE)
    for at, seconds in speech:
        hearing.receive(tone(seconds), at)
    hearing.hear_out(until)
    return hearing


def test_an_agent_who_was_never_heard_has_not_finished() -> None:
    hearing = CallerHearing(RATE)

    assert not hearing.has_finished(0.6, since=0.0, now=100.0)
    assert not hearing.speaks(100.0)
    assert hearing.silent_for(100.0) == float("inf")


def test_an_agent_has_finished_when_he_spoke_and_then_was_quiet() -> None:
    hearing = having_heard((1.0, 0.2), until=3.0)

    assert not hearing.has_finished(0.6, since=0.5, now=1.7)
    assert hearing.has_finished(0.6, since=0.5, now=1.9)


def test_the_end_of_an_old_sentence_is_not_an_answer_and_a_sentence_that_goes_on_is() -> None:
    hearing = having_heard((1.0, 1.0), until=3.0)

    assert not hearing.has_finished(0.6, since=1.8, now=3.0)
    assert hearing.has_finished(0.6, since=1.4, now=3.0)


def test_a_short_pause_is_not_silence() -> None:
    hearing = having_heard((1.0, 0.5), until=1.7)

    assert hearing.speaks(1.7)
    assert not hearing.speaks(1.9)


def test_how_long_the_agent_speaks_is_counted_without_breaths_and_from_the_callers_last_word() -> None:
    hearing = having_heard((1.0, 0.5), (2.5, 0.5), (3.4, 1.0), until=4.4)

    assert hearing.has_spoken_for(1.8, since=0.0, now=4.4)
    assert not hearing.has_spoken_for(2.0, since=0.0, now=4.4)
    assert not hearing.has_spoken_for(1.8, since=3.0, now=4.4)
    assert not hearing.has_spoken_for(0.1, since=0.0, now=5.0)


def test_arrivals_after_a_silence_and_clears_are_kept() -> None:
    hearing = having_heard((1.0, 0.5), (1.1, 0.5), (4.0, 0.5), until=4.1)
    cleared = hearing.clear(4.25)

    assert hearing.arrivals == [1.0, 4.0]
    assert hearing.clears == [cleared]
    assert cleared.played_samples == hearing.played_samples == round(1.25 * RATE)
    assert hearing.seconds_queued() == 0
