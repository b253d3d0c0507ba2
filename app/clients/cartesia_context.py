"""How far a context at Cartesia is: what it was given, what came back, and so what it still owes."""

from app.clients.streams import SpokenWord

_SPOKEN_SHARE = 0.9
"""Words count as spoken when this share of the letters has timestamps: the vendor may write a word in its own way."""


class SpokenContext:
    """A context that is told what happens, and when: ``now`` is seconds on any clock that never goes back."""

    def __init__(self, context_id: str, *, starts_at: float, now: float) -> None:
        self.id = context_id
        self.starts_at = starts_at
        """Seconds of sound before its first sample, since the first sample of the utterance."""
        self.progress_at = now
        """When it last gave something, or began to owe something."""
        self.half_sample = b""
        """Received, and waiting for its other half."""
        self.has_sounded = False
        """Whether any audio has come."""
        self._ending = False
        self._letters_sent = self._letters_spoken = 0
        self._audio_since_text = False

    def given(self, text: str, now: float) -> None:
        """Text was sent."""
        self._start_owing(now)
        self._letters_sent += letters(text)
        self._audio_since_text = False

    def ended(self, now: float) -> None:
        """The end of the text was sent."""
        self._start_owing(now)
        self._ending = True

    def gave_audio(self, now: float) -> None:
        """Audio has arrived."""
        self.has_sounded = self._audio_since_text = True
        self.progress_at = now

    def gave_words(self, words: tuple[SpokenWord, ...], now: float) -> None:
        """Timestamps have arrived."""
        self._letters_spoken += sum(letters(word.text) for word in words)
        self.progress_at = now

    @property
    def owes(self) -> bool:
        """Whether something must still come: sound for the text that was sent, or the end."""
        if self._ending or not self.has_sounded:
            return True
        if self._letters_spoken:
            return self._letters_spoken < self._letters_sent * _SPOKEN_SHARE
        return not self._audio_since_text

    def is_idle(self, now: float, seconds: float) -> bool:
        """Whether it said everything, and then nothing for that long."""
        return not self.owes and now - self.progress_at >= seconds

    def _start_owing(self, now: float) -> None:
        if not self.owes:
            self.progress_at = now


def letters(text: str) -> int:
    """Letters and digits: what makes a sound."""
    return sum(map(str.isalnum, text))
