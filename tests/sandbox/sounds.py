"""Sound for the stand-in recogniser: 16 kHz, 16 bits."""

import numpy as np

RATE = 16000
FRAME_BYTES = 640


def speech(seconds: float) -> bytes:
    """Something loud."""
    phase = np.arange(int(seconds * RATE)) * (2 * np.pi * 200 / RATE)
    return bytes((np.sin(phase) * 8000).astype("<i2").tobytes())


def silence(seconds: float) -> bytes:
    """Nothing at all."""
    return b"\x00\x00" * int(seconds * RATE)


def frames(audio: bytes) -> list[bytes]:
    """Pieces of 20 ms."""
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]
