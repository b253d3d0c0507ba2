"""Cuts a stream of a model's words into clauses fit for the voice.

The first clause leaves as early as is natural, because the caller is waiting for it; the later ones are whole
sentences, because a voice speaks a whole sentence better. Nothing is lost or changed: the clauses joined are the text.
"""

import re
import unicodedata

from app.speech_text.mapped_text import listed

_STOPS = ".?!…。！？"
_STOPS_WITHOUT_SPACE = "。！？"
_SOFT_MARKS = ",;:—–…"
_CLOSERS = "\"'»”’)]*_`"
_OPENERS = "\"'«“„‘([*_`"

_NEVER_LAST = listed(
    "ул им д кв корп стр тел обл пер просп пл наб ш гр св акад проф доц инж см напр т рис табл п с к ст пос дер доб "
    "mr mrs ms dr prof st vs gen sen rep ave fig"
)
"""Abbreviations that something always follows, a capital letter too: the sentence goes on."""
_NUMBER_FOLLOWS = listed(
    "jan feb mar apr jun jul aug sep sept oct nov dec "
    "no nos ref refs vol vols p pp ch sec para art fig ext apt rm bldg approx est ca max min avg tel fax inv acct ver "
    "v руб р коп ч мин сек г тыс млн млрд исх вх ред ст пп гл разд прил изм дог сч каб пом лит ауд оф эт мкр уч кор"
)
"""Words that may end a sentence, but not before a number or its sign: "No. 5", "10 ч. 30 мин.", "1,5 тыс. ₽"."""
_SIGNS_OF_NUMBERS = "%‰°№#+-−~≈±"
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_ENDS_A_LIST = frozenset({"т.д", "т.п", "др", "пр"})
_LIST_NUMBER = re.compile(r"\W*\d{1,3}[.)]\W*")
_FENCE = re.compile(r"`{3,}(?=[^`]*\Z)|~{3,}")
_WORD_BEFORE = re.compile(r"(\S+)\s+\S+$")


class ClauseSplitter:
    """Takes the deltas of one reply and gives its clauses.

    A boundary is decided by the first visible character after it, so ``3.`` waits to see whether it becomes ``3.5``;
    how the text was cut into deltas makes no difference. The white space after a clause belongs to that clause.

    A fenced block of code is never cut: it comes as one clause, so that it can be left out as a whole.

    Args:
        first_clause_min_chars: the first clause may end at ``, ; : —`` once it has this many characters.
        first_clause_max_chars: the first clause is cut at a space when it has no mark for so long.
        clause_max_chars: a later sentence longer than this is cut at a comma or a space. Text without either (an
            address) is cut only at four times this length, which also bounds the memory.
    """

    def __init__(
        self, first_clause_min_chars: int = 20, first_clause_max_chars: int = 100, clause_max_chars: int = 200
    ) -> None:
        self._first_min = first_clause_min_chars
        self._first_max = first_clause_max_chars
        self._max = clause_max_chars
        self._first = True
        self._clause = ""
        self._soft_cut = 0
        self._space_cut = 0
        self._fence = ""
        """The fence of the code block that the clause is in; empty outside."""

    def feed(self, delta: str) -> list[str]:
        """The clauses that ``delta`` completes; may be empty."""
        clauses: list[str] = []
        for char in delta:
            self._push(char, clauses)
        return clauses

    def hurry(self) -> list[str]:
        """What can be said of a clause that takes too long: its words up to the last place for a cut, if any."""
        clauses: list[str] = []
        if not self._fence and (cut := max(self._space_cut, self._soft_cut)):
            self._emit(cut, clauses)
        return clauses

    def finish(self) -> list[str]:
        """What is left when the text has ended. White space alone is no clause."""
        rest, self._clause = self._clause, ""
        self._soft_cut = self._space_cut = 0
        self._fence = ""
        return [rest] if rest.strip() else []

    def _push(self, char: str, clauses: list[str]) -> None:
        if char == "\n":
            self._end_line()
        elif not char.isspace() and self._clause and (cut := self._cut_before(char)):
            self._emit(cut, clauses)
        self._clause += char

    def _end_line(self) -> None:
        """A line of backticks or tildes begins a code block, and another one ends it (CommonMark 0.31, 4.5)."""
        line = self._clause[self._clause.rfind("\n") + 1 :].strip()
        if self._fence:
            if line.startswith(self._fence) and not line.strip(self._fence[0]):
                self._fence = ""
        elif found := _FENCE.match(line):
            self._fence = found.group()

    def _emit(self, length: int, clauses: list[str]) -> None:
        """Release the beginning of the clause and read the rest again."""
        clauses.append(self._clause[:length])
        rest, self._clause = self._clause[length:], ""
        self._soft_cut = self._space_cut = 0
        self._first, self._fence = False, ""
        for char in rest:
            self._push(char, clauses)

    def _cut_before(self, char: str) -> int:
        """How many characters of the clause to release now that ``char`` follows; 0 for none yet."""
        clause = self._clause
        if self._fence:
            return 0
        body = clause.rstrip()
        spaced = len(body) < len(clause)
        if (spaced or body[-1:] in _STOPS_WITHOUT_SPACE) and self._may_cut(body):
            if "\n" in clause[len(body) :] or _ends_sentence(body, char):
                return len(clause)
            self._note_soft(body, char)
            if self._first and self._soft_cut == len(clause) and len(body) >= self._first_min:
                return len(clause)
        return self._cut_of_a_long_clause()

    def _may_cut(self, body: str) -> bool:
        """Whether there is something to say, and the cut would not split a link or a list's number from its rest."""
        if not any(char.isalnum() for char in body) or _LIST_NUMBER.fullmatch(body):
            return False
        link = body.rfind("](")
        return body.rfind("[") <= body.rfind("]") and (link < 0 or body.count("(", link) <= body.count(")", link))

    def _note_soft(self, body: str, char: str) -> None:
        last = body.rstrip(_CLOSERS)[-1:] or body[-1]
        if last == "," and char.isdigit():
            return  # "Thursday, 12 March" and "March 12, 2026" are read as one
        if last in _SOFT_MARKS or body.endswith((" -", "...")):
            self._soft_cut = len(self._clause)
        elif not (body[-1].isdigit() or char.isdigit()):
            self._space_cut = len(self._clause)

    def _cut_of_a_long_clause(self) -> int:
        length, limit = len(self._clause), self._first_max if self._first else self._max
        if length < limit:
            return 0
        if self._soft_cut >= limit // 2:
            return self._soft_cut
        return self._space_cut or self._soft_cut or (length if length >= 4 * self._max else 0)


def _ends_sentence(body: str, following: str) -> bool:
    """Whether a sentence ends with ``body`` when the next visible character is ``following``."""
    bare = body.rstrip(_CLOSERS)
    if bare[-1:] not in _STOPS or not bare:
        return False
    if bare[-1] in _STOPS_WITHOUT_SPACE:
        return True
    if following.islower():
        return bare[-1] in "?!" and bare == body
    return bare[-1] != "." or not _is_abbreviation(bare, following)


def _is_of_a_number(char: str) -> bool:
    return char.isdigit() or char in _SIGNS_OF_NUMBERS or unicodedata.category(char) == "Sc"


def _is_abbreviation(body: str, following: str) -> bool:
    """Whether the stop at the end of ``body`` is a part of its last word."""
    word = re.split(r"\s", body[-60:])[-1].lstrip(_OPENERS).removesuffix(".")
    lowered = word.lower()
    before = _WORD_BEFORE.search(body[-120:])
    previous = before.group(1) if before else ""
    if lowered in _ENDS_A_LIST or previous.lower() == "т.":
        return False
    if lowered in _NUMBER_FOLLOWS and _is_of_a_number(following):
        return True
    if lowered == "г":
        return not previous[-1:].isdigit()
    is_initial = len(word) == 1 and word.isupper() and word not in "IЯ"
    return lowered in _NEVER_LAST or is_initial or bool(_DOTTED.fullmatch(word))
