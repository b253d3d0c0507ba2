"""The telephone of a simulated caller: its audio format and what its end of the line supports."""

from dataclasses import dataclass, field

from sandbox.caller.echo_path import EchoPath
from sandbox.caller.media_format import MediaFormat
from sandbox.caller.noises import NoiseKind


@dataclass(frozen=True, slots=True)
class Telephone:
    """The caller's end of the line."""

    format: MediaFormat = field(default_factory=MediaFormat)
    noise_dbfs: float | None = None
    """The level (RMS) of the line's noise; None: digital silence between utterances."""
    noise: NoiseKind = "white"
    echo: EchoPath | None = None
    """How the agent's sound comes back; None: not at all."""
    acknowledges_clear: bool = True
    """Whether it answers ``clear`` with the number of samples played."""
    echoes_marks: bool = True
