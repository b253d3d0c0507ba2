"""The telephone of a simulated caller: its audio format and what its end of the line supports."""

from dataclasses import dataclass, field

from sandbox.caller.media_format import MediaFormat


@dataclass(frozen=True, slots=True)
class Telephone:
    """The caller's end of the line."""

    format: MediaFormat = field(default_factory=MediaFormat)
    noise_dbfs: float | None = None
    """The level (RMS) of the line's white noise; None: digital silence between utterances."""
    acknowledges_clear: bool = True
    """Whether it answers ``clear`` with the number of samples played."""
    echoes_marks: bool = True
