import numpy as np
import pytest

from sandbox.caller.earpiece import Piece
from sandbox.caller.echo_path import EchoPath, EchoReturn

RATE = 8000
FRAME = 160


def test_what_was_played_comes_back_once_later_and_quieter() -> None:
    echo = EchoReturn(EchoPath(0.1, 20.0), RATE)
    played = np.arange(1, FRAME + 1, dtype=np.int16) * 100
    echo.hear(Piece(0.5, played))

    frames = [echo.take(number * FRAME, FRAME) for number in range(300)]

    back = np.concatenate(frames)
    assert back[round(0.6 * RATE) : round(0.6 * RATE) + FRAME] == pytest.approx(played / 10)
    assert np.count_nonzero(back) == FRAME


@pytest.mark.parametrize("delay", [0.0, 2.5])
def test_an_echo_that_no_line_has_is_refused(delay: float) -> None:
    with pytest.raises(ValueError, match=r"0\.02 to 2 seconds"):
        EchoPath(delay, 20.0)
