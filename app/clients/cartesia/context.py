"""How far a context at Cartesia is: what it was given, what came back, and so what it still owes."""

from app.ports.streams import SpokenWord

_SPOKEN_SHARE = 0.9
"""Words count as spoken when this share of the letters has timestamps: the vendor may write a word in its own way."""
_LAST_WORD_SHARE = 0.6
"""Likewise, when the last word that was told is the last of the text: the vendor wrote the others in its own way."""
_LETTERS_PER_SECOND_MAX = 22.0
"""Nobody speaks faster, at normal speed; the average is 14."""
_WORDS_AHEAD_SECONDS = 10.0
_LETTERS_PER_SECOND_MIN = 2.0
"""For how far ahead of the sound a word's time may be: the text that was sent takes no longer."""
_ENDLESS_SECONDS = 30.0
"""Sound may be so much longer than the slowest speech, for pauses; more has no end."""
_BACK_SECONDS = 0.05
_CUT_WORD_SECONDS = 0.5
"""How much of the last word may lie beyond the end of the sound."""
_DOUBT_SECONDS = 0.5
"""So much sound may be missing when there are no word times."""
_LOOK_AHEAD_LETTERS = 400
"""Where words are looked for in the text, after some were lost."""

# Sound against word times. Both must be too much, so that neither a pause in the speech nor word times that come late,
# in bursts or not at all, are taken for a wrong rate.
_LONG_SHARE, _LONG_SECONDS = 1.2, 0.3
_GROWTH_SHARE, _GROWTH_SECONDS = 1.3, 0.3


class SpokenContext:
    """A context that is told what happens, and when: ``now`` is seconds on any clock that never goes back."""

    def __init__(self, context_id: str, *, starts_at: float, now: float, speed: float = 1.0) -> None:
        self.id = context_id
        self.starts_at = starts_at
        """Seconds of sound before its first sample, since the first sample of the utterance."""
        self.progress_at = now
        """When it last gave something, or began to owe something."""
        self.has_sounded = False
        """Whether any audio has come."""
        self.sound_is_too_long = False
        """Whether there is more sound than the words take: it is not of the rate or encoding that was asked for."""
        self._fastest = _LETTERS_PER_SECOND_MAX * max(1.0, speed)
        self._ending = False
        self._sent = ""
        """The letters of the text that was sent."""
        self._letters_spoken = 0
        self._last_word = ""
        self._audio_since_text = False
        self._sound_seconds = self._words_begin = self._words_end = 0.0
        """How much sound there is, and when the last word of which the time is known begins and ends in it."""
        self._misses_words = self._words_are_news = False
        self._first_measure: tuple[float, float] | None = None

    # --- what happens -------------------------------------------------------------------------------------------

    def given(self, text: str, now: float) -> None:
        """Text was sent."""
        self._start_owing(now)
        self._sent += _only_letters(text)
        self._audio_since_text = False

    def ended(self, now: float) -> None:
        """The end of the text was sent."""
        self._start_owing(now)
        self._ending = True

    def gave_audio(self, seconds: float, now: float) -> None:
        """Audio has arrived."""
        if self._words_are_news:
            self._measure()
        self._sound_seconds += seconds
        self.has_sounded = self._audio_since_text = True
        self.progress_at = now
        if self._sound_seconds > _ENDLESS_SECONDS + len(self._sent) / _LETTERS_PER_SECOND_MIN * 2:
            self.sound_is_too_long = True

    def gave_words(self, words: tuple[SpokenWord, ...], now: float, *, is_whole: bool = True) -> tuple[SpokenWord, ...]:
        """Timestamps have arrived; not ``is_whole`` when words are missing. Returns the words that can be placed.

        The letters of the words together are those of the text from its beginning: a word that is missing stands
        before the next ones as a word without an exact time. A time that goes back, or is beyond reason, is not exact.
        """
        self._misses_words = self._misses_words or not is_whole
        if not words:
            return ()
        if self._letters_spoken <= 2 * len(self._sent):  # words that are told for ever are no progress
            self.progress_at = now
        if self._misses_words:
            words = self._placed(words)
        taken = tuple(self._with_reasonable_time(word) for word in words)
        self._letters_spoken += sum(letters(word.text) for word in taken)
        self._last_word = _only_letters(taken[-1].text).casefold() if taken else self._last_word
        return taken

    # --- what is owed -------------------------------------------------------------------------------------------

    @property
    def owes(self) -> bool:
        """Whether something must still come: sound for the text that was sent, or the end."""
        if self._ending or not self.has_sounded:
            return True
        if self._letters_spoken and not self._misses_words:
            return self._letters_spoken < len(self._sent) * _SPOKEN_SHARE
        return not self._audio_since_text

    def is_idle(self, now: float, seconds: float) -> bool:
        """Whether it said everything, and then nothing for that long."""
        return not self.owes and now - self.progress_at >= seconds

    @property
    def has_said_all(self) -> bool:
        """Whether the sound can be that of the whole text, now that no more will come."""
        if not self.has_sounded:
            return False
        if self._words_begin >= self._sound_seconds + _BACK_SECONDS:
            return False
        if self._words_end > self._sound_seconds + _CUT_WORD_SECONDS:
            return False
        missing = len(self._sent) - self._letters_spoken
        is_last_word = bool(self._last_word) and self._sent.casefold().endswith(self._last_word)
        if missing <= len(self._sent) * ((1 - _LAST_WORD_SHARE) if is_last_word else (1 - _SPOKEN_SHARE)):
            return True
        doubt = 0.0 if self._letters_spoken else _DOUBT_SECONDS
        return missing <= (self._sound_seconds - self._words_end + doubt) * self._fastest

    # --- word times ---------------------------------------------------------------------------------------------

    def _placed(self, words: tuple[SpokenWord, ...]) -> tuple[SpokenWord, ...]:
        """The words after those that were lost, as one word without a time; none while they are not in the text."""
        wanted = "".join(_only_letters(word.text) for word in words).casefold()
        begin = self._letters_spoken
        ahead = self._sent[begin : begin + _LOOK_AHEAD_LETTERS].casefold()
        skipped = ahead.find(wanted)
        if not wanted or skipped < 0:
            return ()
        self._misses_words = False
        if not skipped:
            return words
        moment = self._words_end
        lost = SpokenWord(self._sent[begin : begin + skipped], moment, moment, is_exact=False)
        return (lost, *words)

    def _with_reasonable_time(self, word: SpokenWord) -> SpokenWord:
        latest = self._sound_seconds + _WORDS_AHEAD_SECONDS + len(self._sent) / _LETTERS_PER_SECOND_MIN
        if not self._words_begin - _BACK_SECONDS <= word.start <= latest or word.end > latest:
            return SpokenWord(word.text, self._words_end, self._words_end, is_exact=False)
        if word.is_exact:
            self._words_are_news = self._words_are_news or word.end > self._words_end
            self._words_begin, self._words_end = max(word.start, self._words_begin), max(word.end, self._words_end)
        return word

    def _measure(self) -> None:
        """Compare sound and words, just before more sound than that of the words is added.

        At this moment word times that come with their sound, or in bursts after it, are level with it.
        """
        self._words_are_news = False
        sound, words = self._sound_seconds, self._words_end
        if self._first_measure is None:
            self._first_measure = (sound, words)
            return
        more_sound, more_words = sound - self._first_measure[0], words - self._first_measure[1]
        self.sound_is_too_long = self.sound_is_too_long or (
            sound > words * _LONG_SHARE + _LONG_SECONDS and more_sound > more_words * _GROWTH_SHARE + _GROWTH_SECONDS
        )

    def _start_owing(self, now: float) -> None:
        if not self.owes:
            self.progress_at = now


def letters(text: str) -> int:
    """Letters and digits: what makes a sound."""
    return sum(map(str.isalnum, text))


def _only_letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))
