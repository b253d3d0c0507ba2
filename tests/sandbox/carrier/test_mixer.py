import numpy as np

from sandbox.carrier.mixer import Mixer
from sandbox.vendors.encodings import Samples

FRAME = 160


def sound(frames: int, first: int = 1) -> Samples:
    return np.repeat(np.arange(first, first + frames), FRAME).astype(np.int16)


def given(mixer: Mixer, frames: int) -> list[int]:
    return [int(mixer.next_frame()[0]) for _ in range(frames)]


def test_it_begins_when_sixty_milliseconds_have_come() -> None:
    mixer = Mixer(8000)
    mixer.receive(sound(2))
    assert given(mixer, 2) == [0, 0]
    mixer.receive(sound(1, 3))
    assert given(mixer, 3) == [1, 2, 3]


def test_it_fills_again_after_it_has_run_dry() -> None:
    mixer = Mixer(8000)
    mixer.receive(sound(3))
    assert given(mixer, 4) == [1, 2, 3, 0]
    mixer.receive(sound(1, 4))
    assert given(mixer, 1) == [0]


def test_of_more_than_a_hundred_milliseconds_the_oldest_are_dropped() -> None:
    mixer = Mixer(8000)
    mixer.receive(sound(7))
    assert given(mixer, 5) == [3, 4, 5, 6, 7]
    assert mixer.dropped_samples == 2 * FRAME
