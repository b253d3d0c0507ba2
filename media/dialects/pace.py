"""How fast a stream's audio arrives compared to real time, and what is likely wrong when it is too fast."""

from media.formats import SAMPLE_RATES, AudioFormat

_NEAR = 0.15
"""How far a measured speed may be from the true one, because audio comes in pieces."""
_AT_ONCE = 20.0
"""No wrong format explains this many times real time; audio that comes so fast was stored before."""
_SLIGHTLY = 1.25
"""Up to here it is a fast clock or a backlog; no two formats differ by so little."""
_TIMES = {2: "twice", 3: "three times", 4: "four times", 6: "six times", 12: "twelve times"}


class Pace:
    """Compares the samples that have arrived with the time that has passed since the start of the stream."""

    def __init__(self, audio_format: AudioFormat, now: float) -> None:
        self._format = audio_format
        self._began_at = now
        self._samples = 0
        self._first: tuple[float, int] | None = None
        """When the first piece arrived, and how many samples it had."""

    def add(self, audio: bytes, now: float) -> None:
        """Count audio that has arrived."""
        samples = self._format.samples(audio)
        self._first = self._first or (now, samples)
        self._samples += samples

    def ahead_seconds(self, now: float) -> float:
        """How many seconds of audio have arrived beyond the time that has passed."""
        return self._samples / self._format.sample_rate - (now - self._began_at)

    def likely_cause(self, now: float) -> str | None:
        """Why the stream is too fast, as a question to the sender; None when the speed does not show it.

        The speed is measured from the first piece to the last, so the length of the pieces makes no difference.
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
    """The format that makes this many times the bytes."""
    if announced.encoding == "mulaw":
        return "16-bit"
    rate = announced.sample_rate * times
    formats = [f"{rate} Hz"] if rate in SAMPLE_RATES else []
    formats += ["two channels"] if times == 2 else []
    return " or ".join(formats) or "of another format"
