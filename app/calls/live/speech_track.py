"""The audio of one utterance with the position of each word, to work out what the caller has heard.

Three texts run through a track:

==========  ==========================================  ==================================================
generated   ``It costs $5. Shall I book it?``           what the model wrote: :attr:`SpeechTrack.text`
voiced      ``It costs five dollars. Shall I book it?`` what the vendor was given: ``Clause.spoken``
heard       ``It costs $5. Shall``                      what the caller heard, in the words of the model
==========  ==========================================  ==================================================

Words are matched by counting letters, because a vendor may split words differently than we do. If the caller cuts in
after 1.4 s, the track counts the letters of the voiced words that began before that moment. The clause maps this count
back to the length of its generated text.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from app.ports.streams import SpokenWord
from app.speech_text.verbalize import Spoken
from media.formats import AudioFormat, Encoding
from media.pauses import quietest_near

_LETTERS_PER_SECOND = 14
"""The rate of average speech, for estimates only."""
_FADING_SECONDS = 0.03
_SEARCHED_SECONDS = 0.12
"""How far from the expected end of a word to look for a pause."""
_PIECE_SECONDS = 0.2
"""The longest piece of audio to take at once. Audio that was taken cannot be taken back."""


@dataclass(slots=True)
class Clause:
    """A piece of the text, as generated and as voiced."""

    text: str
    spoken: Spoken
    first_letter: int
    """How many voiced letters of the utterance come before it."""
    letters: int
    started: bool = False


class _Begun(NamedTuple):
    """A word with the samples at which it begins and ends."""

    start: int
    end: int
    letters: int
    """Letters of the utterance that count as voiced once the word has begun."""
    is_exact: bool
    """Whether it is certain that this word begins at ``start`` and the words before it have begun by then."""


class _Piece(NamedTuple):
    """A piece of audio as it arrived."""

    audio: bytes
    samples: int


def count_letters(text: str) -> int:
    """Count letters and digits. This measure matches a vendor's words with ours, however each splits them."""
    return sum(map(str.isalnum, text))


class SpeechTrack:
    """Collects clauses, audio and word times as they come. Positions are samples since the start of the utterance."""

    def __init__(self, sample_rate: int, *, keep_sound: bool = False) -> None:
        self._rate = sample_rate
        self._keep_sound = keep_sound
        self._clauses: list[Clause] = []
        self._letters = 0
        self._words: list[_Begun] = []
        self._last_word_is_exact = True
        self._word_letters = 0
        self._words_end = 0
        """The sample at which the last of these words ends."""
        self._said_letters = 0
        """How many letters had begun when the synthesis last broke off."""
        self._is_taken_back = False
        self._unplayed: deque[_Piece] = deque()
        self.kept_audio: list[bytes] = []
        """All the audio, with ``keep_sound``."""
        self.kept_words: list[SpokenWord] = []
        self.samples = 0
        self.complete = False
        """Whether all the audio has arrived."""
        self._is_broken = False
        """Whether part of the text will never get audio."""

    def __repr__(self) -> str:
        return f"<SpeechTrack {len(self._clauses)} clauses, {len(self._words)} words, {self.samples} samples>"

    @property
    def text(self) -> str:
        """The whole generated text."""
        return "".join(clause.text for clause in self._clauses)

    def add_clause(self, text: str, spoken: Spoken) -> None:
        """Add the next clause and the way it is read aloud."""
        letters = count_letters(spoken.text)
        self._clauses.append(Clause(text, spoken, self._letters, letters))
        self._letters += letters

    def add_audio(self, audio: bytes, samples: int) -> None:
        """Add the next audio, which has so many samples."""
        longest = int(self._rate * _PIECE_SECONDS)
        sample_bytes = len(audio) // samples if samples else 1
        for begin in range(0, samples, longest):
            piece = audio[begin * sample_bytes : (begin + longest) * sample_bytes]
            self._unplayed.append(_Piece(piece, min(longest, samples - begin)))
            if self._keep_sound:
                self.kept_audio.append(piece)
        self.samples += samples

    def add_words(self, words: Iterable[SpokenWord], offset_seconds: float) -> None:
        """Add the times of the next words. ``offset_seconds`` is where their attempt begins on this track."""
        for word in words:
            self._word_letters += count_letters(word.text)
            is_exact = word.is_exact and self._last_word_is_exact
            start, self._words_end = (int((offset_seconds + at) * self._rate) for at in (word.start, word.end))
            self._words.append(_Begun(start, self._words_end, self._word_letters, is_exact))
            self._last_word_is_exact = word.is_exact
            if self._keep_sound:
                moved = replace(word, start=offset_seconds + word.start, end=offset_seconds + word.end)
                self.kept_words.append(moved)

    def take_audio(self) -> bytes:
        """Take the next piece of audio, as it arrived; empty if there is none."""
        return self._unplayed.popleft().audio if self._unplayed else b""

    @property
    def has_audio(self) -> bool:
        """Whether audio waits to be taken."""
        return bool(self._unplayed)

    def break_off(self) -> str:
        """End an attempt at the synthesis. Returns the rest of the voiced text, for the next attempt.

        A word that was cut in half is not said again.
        """
        begun = self._said_letters if self._is_taken_back else self._letters_begun(self.samples)[0]
        self._is_taken_back = False
        rest = self._text_after(begun)
        self._words = [word for word in self._words if word.start < self.samples]
        self._last_word_is_exact = True
        self.kept_words = [word for word in self.kept_words if word.start * self._rate < self.samples]
        self._words_end = min(self._words_end, self.samples)
        self._said_letters = self._word_letters = self._letters - count_letters(rest)
        return rest

    def take_back(self, samples: int) -> None:
        """Forget the audio after so many samples, unless it is taken, and the times of its words.

        ``samples`` must be 0 or the length of the track at a :meth:`break_off`. Audio that was taken stays, and counts
        as audio without words.
        """
        while self._unplayed and self.samples > samples:
            self.samples -= self._unplayed.pop().samples
            if self._keep_sound:
                self.kept_audio.pop()
        self._words = [word for word in self._words if word.start < samples]
        self.kept_words = [word for word in self.kept_words if word.start * self._rate < samples]
        if self.samples > samples:  # it contains noise: do not keep it as a prepared phrase
            self._keep_sound = False
            self.kept_audio.clear()
            self.kept_words.clear()
        self._word_letters = self._said_letters
        self._words_end = self.samples
        self._is_taken_back = True

    def unspoken(self) -> str:
        """The voiced text of the clauses that came since the last :meth:`break_off`."""
        return self._text_after(self._said_letters)

    def give_up(self) -> None:
        """No more audio will come, though there is more text."""
        self._is_broken = self.complete = True

    def end_after_word(self, position: int) -> int | None:
        """Drop the sound after the first word that ends after that sample, and return where the track ends now.

        Returns None and drops nothing when that is its end anyway, or when not all of its sound has arrived.
        """
        if not self.complete or self._is_broken:
            return None
        end = next((end for end in self._word_ends() if end > position), self.samples)
        if end >= self.samples:
            return None
        while self._unplayed and self.samples > end:
            audio, samples = self._unplayed.pop()
            kept = max(0, samples - (self.samples - end))
            if kept:
                self._unplayed.append(_Piece(audio[: len(audio) // samples * kept], kept))
            self.samples -= samples - kept
        self.samples = end  # the player drops the rest of what was taken
        self._is_broken = True
        return end

    def _word_ends(self) -> list[int]:
        """The time at which each word has faded away: a moment after its end, but before the next begins."""
        if self._words and self._word_letters >= self._letters:
            nexts = [*(word.start for word in self._words[1:]), self.samples]
            fading = int(self._rate * _FADING_SECONDS)
            return [
                max(word.end, min(word.end + fading, after)) for word, after in zip(self._words, nexts, strict=True)
            ]
        return list(map(self._quietest_near, self._likely_word_ends()))

    def _likely_word_ends(self) -> list[int]:
        """Likely ends of words, for a voice that reports no word times."""
        words = " ".join(clause.spoken.text for clause in self._clauses).split()
        letters = list(accumulate(map(count_letters, words)))
        return [self.samples * count // self._letters for count in letters] if self._letters else []

    def _quietest_near(self, position: int) -> int:
        audio = b"".join(self.kept_audio)
        if not audio or position >= self.samples:
            return position
        encoding: Encoding = "mulaw" if len(audio) == self.samples else "pcm_s16le"
        return quietest_near(audio, AudioFormat(encoding, self._rate), position, int(self._rate * _SEARCHED_SECONDS))

    def next_started_clause(self, sent: int) -> tuple[str, int] | None:
        """The next clause whose first sample was sent, with its position. Returns each clause once."""
        for index, clause in enumerate(self._clauses):
            if clause.started:
                continue
            start = 0 if index == 0 else self._start_of(clause)
            if start is None or start >= sent:
                return None
            clause.started = True
            return clause.text, start
        return None

    def heard(self, played: int) -> tuple[str, bool]:
        """The generated text that the caller has heard after ``played`` samples, and whether that is exact."""
        if self._is_whole and played >= self.samples:
            return self.text, True
        letters, exact = self._letters_begun(played)
        return "".join(_heard_of(clause, letters - clause.first_letter) for clause in self._clauses), exact

    @property
    def _is_whole(self) -> bool:
        """Whether the audio covers the whole text, so that the share of samples gives the share of text."""
        return self.complete and not self._is_broken and self.samples > 0

    def _text_after(self, letters: int) -> str:
        rests = [_after_letters(clause.spoken.text, letters - clause.first_letter) for clause in self._clauses]
        return " ".join(filter(None, rests))

    def _letters_begun(self, played: int) -> tuple[int, bool]:
        if played <= 0:
            return 0, True
        known = [word.letters for word in self._words if word.start < played]
        following = next((word for word in self._words if word.start >= played), None)
        if following is not None or self._word_letters >= self._letters:
            is_exact = following.is_exact if following is not None else all(word.is_exact for word in self._words)
            return (known[-1] if known else 0), is_exact
        if self._is_whole:
            estimate = round(self._letters * played / self.samples)
        else:
            unknown = max(0, played - self._words_end)
            estimate = self._word_letters + int(unknown / self._rate * _LETTERS_PER_SECOND)
        return max(known[-1] if known else 0, min(self._letters, estimate)), False

    def _start_of(self, clause: Clause) -> int | None:
        begun_before = 0
        for word in self._words:
            if begun_before >= clause.first_letter:
                return word.start
            begun_before = word.letters
        if self._is_whole and self._letters:
            return int(self.samples * clause.first_letter / self._letters)
        return None


def _heard_of(clause: Clause, letters: int) -> str:
    """The beginning of the clause's generated text after so many of its voiced letters."""
    if letters >= clause.letters:
        return clause.text
    if letters <= 0:
        return ""
    return clause.text[: clause.spoken.written_length(_words_begun(clause.spoken.text, letters))]


def _words_begun(text: str, letters: int) -> int:
    """How many words of the text have begun after that many letters."""
    words = 0
    for word in text.split():
        if letters <= 0:
            break
        words += 1
        letters -= count_letters(word)
    return words


def _after_letters(text: str, letters: int) -> str:
    """The words of the text after those that have begun."""
    return " ".join(text.split()[_words_begun(text, letters) :])
