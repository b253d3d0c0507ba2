"""The progress of a Cartesia context: what was sent, what came back, and what the vendor must still send."""

from app.ports.streams import SpokenWord

_SPOKEN_SHARE = 0.9
"""The text counts as spoken when this share of its letters has timestamps: the vendor may spell words differently."""
_LAST_WORD_SHARE = 0.6
"""The same, when the last word with a timestamp is the last word of the text."""
_LETTERS_PER_SECOND_MAX = 22.0
"""No voice speaks faster at normal speed; the average is 14."""
_WORDS_AHEAD_SECONDS = 10.0
_LETTERS_PER_SECOND_MIN = 2.0
"""The slowest speech; it bounds how far a word's time may be ahead of the sound."""
_ENDLESS_SECONDS = 30.0
"""How much longer than the slowest speech the sound may be, for pauses; more counts as endless."""
_BACK_SECONDS = 0.05
_CUT_WORD_SECONDS = 0.5
"""How far the last word may extend beyond the end of the sound."""
_DOUBT_SECONDS = 0.5
"""How much sound may be missing when there are no word times."""
_LOOK_AHEAD_LETTERS = 400
"""How far ahead in the text a word is searched after some were lost."""

# Sound against word times. Both limits must be exceeded, so that neither a pause in the speech nor word times that come
# late, in bursts or not at all, count as a wrong sample rate.
_LONG_SHARE, _LONG_SECONDS = 1.2, 0.3
_GROWTH_SHARE, _GROWTH_SECONDS = 1.3, 0.3


class SpokenContext:
    """Tracks one context from reported events; ``now`` is in seconds of any monotonic clock."""

    def __init__(self, context_id: str, *, starts_at: float, now: float, speed: float = 1.0) -> None:
        self.id = context_id
        self.starts_at = starts_at
        """The time of its first sample, in seconds since the first sample of the utterance."""
        self.progress_at = now
        """When the vendor last sent something, or when something last became due."""
        self.heard_until: float | None = None
        """When the caller will have heard the sound so far, if they hear it as it comes; None before it comes."""
        self.has_sounded = False
        """Whether any audio has arrived."""
        self.sound_is_too_long = False
        """Whether there is more sound than the words take: its rate or encoding is not the requested one."""
        self._fastest = _LETTERS_PER_SECOND_MAX * max(1.0, speed)
        self._ending = False
        self._sent = ""
        """The letters of the text sent."""
        self._letters_spoken = 0
        self._last_word = ""
        self._audio_since_text = False
        self.awaits_next_text = False
        """Whether text was sent when nothing was owed any more, and none of its audio has arrived."""
        self._sound_seconds = self._words_begin = self._words_end = 0.0
        """The seconds of sound, and the start and end of the last word with a known time."""
        self._misses_words = self._words_are_news = False
        self._first_measure: tuple[float, float] | None = None

    # --- what happens -------------------------------------------------------------------------------------------

    def given(self, text: str, now: float) -> None:
        """Note that text was sent."""
        self.awaits_next_text = self.awaits_next_text or not self.owes
        self._start_owing(now)
        self._sent += _only_letters(text)
        self._audio_since_text = False

    def ended(self, now: float) -> None:
        """Note that the end of the text was sent."""
        self._start_owing(now)
        self._ending = True

    def gave_audio(self, seconds: float, now: float) -> None:
        """Note that audio has arrived."""
        if self._words_are_news:
            self._measure()
        self._sound_seconds += seconds
        self.heard_until = (now if self.heard_until is None else self.heard_until) + seconds
        self.has_sounded = self._audio_since_text = True
        self.awaits_next_text = False
        self.progress_at = now
        if self._sound_seconds > _ENDLESS_SECONDS + len(self._sent) / _LETTERS_PER_SECOND_MIN * 2:
            self.sound_is_too_long = True

    def gave_words(self, words: tuple[SpokenWord, ...], now: float, *, is_whole: bool = True) -> tuple[SpokenWord, ...]:
        """Note timestamps; ``is_whole`` is False when words are missing. Returns the words that can be placed.

        All words returned together have the letters of the text from its beginning: a missing word comes before the
        next ones as a word without an exact time. A time that goes back or is implausible is not exact either.
        """
        self._misses_words = self._misses_words or not is_whole
        if not words:
            return ()
        if self._letters_spoken <= 2 * len(self._sent):  # an endless stream of words is not progress
            self.progress_at = now
        if self._misses_words:
            words = self._placed(words)
        taken = tuple(self._with_reasonable_time(word) for word in words)
        self._letters_spoken += sum(letters(word.text) for word in taken)
        self._last_word = _only_letters(taken[-1].text).casefold() if taken else self._last_word
        return taken

    # --- what is due --------------------------------------------------------------------------------------------

    @property
    def owes(self) -> bool:
        """Whether the vendor must still send something: sound for the text sent, or the end."""
        if self._ending or not self.has_sounded:
            return True
        if self._letters_spoken and not self._misses_words:
            return self._letters_spoken < len(self._sent) * _SPOKEN_SHARE
        return not self._audio_since_text

    def is_idle(self, now: float, seconds: float) -> bool:
        """Whether everything was spoken, and nothing came for ``seconds`` after that."""
        return not self.owes and now - self.progress_at >= seconds

    @property
    def has_said_all(self) -> bool:
        """Whether the sound can be that of the whole text, when no more will come."""
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
        """The words, preceded by the lost ones as one word without a time; empty when the text does not have them."""
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
        """Compare sound and words, just before sound beyond the words is added.

        At this moment even word times that come with their sound, or in bursts after it, are level with it.
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
            self.progress_at, self.heard_until = now, None


def letters(text: str) -> int:
    """The number of letters and digits, that is, of what can be heard."""
    return sum(map(str.isalnum, text))


def _only_letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))
