"""How fast a stream's sound comes, and what is likely wrong when it comes too fast."""

from media.formats import SAMPLE_RATES, AudioFormat

_NEAR = 0.15
"""A measured speed differs from the true one by so much: sound comes in pieces."""
_AT_ONCE = 20.0
"""Nobody has a format that makes so many bytes; sound that comes so fast was stored before."""
_SLIGHTLY = 1.25
"""A clock that runs too fast, or a backlog; no format differs from another by so little."""
_TIMES = {2: "twice", 3: "three times", 4: "four times", 6: "six times", 12: "twelve times"}


class Pace:
    """Counts samples against time, from the start of the stream on."""

    def __init__(self, audio_format: AudioFormat, now: float) -> None:
        self._format = audio_format
        self._began_at = now
        self._samples = 0
        self._first: tuple[float, int] | None = None
        """When the first piece came, and how many samples it had."""

    def add(self, audio: bytes, now: float) -> None:
        """This sound has come."""
        samples = self._format.samples(audio)
        self._first = self._first or (now, samples)
        self._samples += samples

    def ahead_seconds(self, now: float) -> float:
        """How much more sound has come than time has passed."""
        return self._samples / self._format.sample_rate - (now - self._began_at)

    def likely_cause(self, now: float) -> str | None:
        """Why it is too fast, as a question to whoever sends; None when the speed says nothing.

        The speed is that between the first piece and the last one, so that their length makes no difference.
        """
        first_at, first_samples = self._first or (now, 0)
        elapsed, sound = now - first_at, (self._samples - first_samples) / self._format.sample_rate
        if sound >= _AT_ONCE * elapsed:
            return "all at once: is it sent as it is made?"
        speed = sound / elapsed
        if speed < _SLIGHTLY:
            return None
        times = next((whole for whole in _TIMES if abs(speed - whole) <= _NEAR * whole), None)
        if times is None:
            return f"{speed:.1f} times real time: is it sent as it is made?"
        return f"{_TIMES[times]} real time: is it {_other_format(self._format, times)}?"


def _other_format(announced: AudioFormat, times: int) -> str:
    """What makes so many times the bytes."""
    if announced.encoding == "mulaw":
        return "16-bit"
    rate = announced.sample_rate * times
    formats = [f"{rate} Hz"] if rate in SAMPLE_RATES else []
    formats += ["two channels"] if times == 2 else []
    return " or ".join(formats) or "of another format"
