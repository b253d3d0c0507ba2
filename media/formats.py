"""Audio formats: how bytes, samples and seconds relate."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

Encoding = Literal["pcm_s16le", "mulaw"]
ENCODINGS: frozenset[str] = frozenset(get_args(Encoding))

FRAME_SECONDS = 0.02
"""The usual length of a frame on a telephone line."""

SAMPLE_RATES = (8000, 16000, 24000, 48000)
"""Hertz; μ-law exists at 8000 only."""

_SILENCE = {"pcm_s16le": b"\x00\x00", "mulaw": b"\xff"}


@dataclass(frozen=True)
class AudioFormat:
    """Mono audio of one encoding and sample rate. Raises ValueError for a combination that does not exist."""

    encoding: Encoding
    sample_rate: int
    """Hertz."""

    def __post_init__(self) -> None:
        if self.encoding not in _SILENCE:
            raise ValueError(f"unknown encoding {self.encoding!r}: use pcm_s16le or mulaw")
        if self.sample_rate not in SAMPLE_RATES:
            raise ValueError(f"unknown sample rate {self.sample_rate!r}: use one of {SAMPLE_RATES}")
        if self.encoding == "mulaw" and self.sample_rate != SAMPLE_RATES[0]:
            raise ValueError("mulaw has a sample rate of 8000 only")

    @cached_property
    def sample_bytes(self) -> int:
        """Bytes per sample."""
        return len(_SILENCE[self.encoding])

    @cached_property
    def frame_samples(self) -> int:
        """Samples per 20 ms frame."""
        return int(self.sample_rate * FRAME_SECONDS)

    def samples(self, audio: bytes) -> int:
        """How many whole samples the audio has."""
        return len(audio) // self.sample_bytes

    def seconds(self, audio: bytes) -> float:
        """How long the audio lasts."""
        return self.samples(audio) / self.sample_rate

    def silence(self, samples: int) -> bytes:
        """That many samples of digital silence."""
        return _SILENCE[self.encoding] * samples


AUDIO_FORMATS = (AudioFormat("mulaw", SAMPLE_RATES[0]), *(AudioFormat("pcm_s16le", rate) for rate in SAMPLE_RATES))
"""All formats there are."""
