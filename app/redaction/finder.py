"""Finds in one text what must not be stored, and what may be a part of it."""

from collections.abc import Collection
from dataclasses import dataclass, field

from app.models import RedactCategory
from app.redaction.emails import email_spans, local_part
from app.redaction.labels import is_other, names_telephone
from app.redaction.marks import CARD, DIGITS, PHONE, Span, merged
from app.redaction.memory import Memory
from app.redaction.numbers import CARD_DIGITS, PHONE_DIGITS, is_card, is_phone
from app.redaction.runs import Run, digit_runs, loose_runs

KEPT_DIGITS = 6
"""So many digits of a number may be stored before it is known that it is one: the issuer's, no more."""


_LONG, _LONG_KEPT = 2000, 8
"""Letters of a text whose findings are kept, and how many texts are."""
_DICTATED = 4
"""After so many digits a person who goes on with words and digits may still dictate."""
_DIGITS_BESIDE = 4
"""So many digits of other numbers may stand beside a telephone number in one run: a time, an extension."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known about a text besides its words."""

    before: tuple[str, ...] = ()
    """Digits with which the same person ended what they said before, in the order they came."""
    stale: int = 0
    """So many of them were said before the agent asked for something else."""
    is_whole: bool = False
    """They are a whole number: only what follows at once may belong to it."""
    asked: str = ""
    """What the agent has said last."""
    is_asked_for_email: bool = False
    is_partial: bool = False
    """The text goes on, and a later one replaces it: too much rather than too little is taken out."""
    is_suspicious: bool = False
    """Digits at the end may be the first part of a number whose other part comes in another text."""

    @property
    def fresh_digits(self) -> int:
        """How many digits came before on the present subject."""
        return sum(map(len, self.before[self.stale :]))


NOTHING_KNOWN = Circumstances()


@dataclass(slots=True)
class Findings:
    """What was found in a text."""

    spans: list[Span] = field(default_factory=list)
    numbers: list[tuple[str, str]] = field(default_factory=list)
    """Digits that were taken out, with their marks."""
    names: list[str] = field(default_factory=list)
    """Local parts of addresses that were taken out."""
    is_whole: bool = False
    """The last digits are a whole number."""
    pieces: tuple[str, ...] | None = None
    """Digits with which the text ends, and those before it that they go on with; None for a text without digits."""


class Finder:
    """Finds what belongs to some categories. The same for all calls of an agent."""

    def __init__(self, categories: Collection[RedactCategory], regions: tuple[str, ...] = ()) -> None:
        """``regions`` are where telephone numbers without a country's code are, such as ``RU``."""
        self._cards, self._phones, self._emails = (name in categories for name in ("cards", "phones", "emails"))
        self._regions = regions
        self._long_texts: dict[str, Findings] = {}
        """What was found in prompts, which are the same in many calls."""

    @property
    def has_numbers(self) -> bool:
        """Whether it looks for digits at all."""
        return self._cards or self._phones

    def find(self, text: str, memory: Memory, known: Circumstances = NOTHING_KNOWN) -> Findings:
        """What the text holds."""
        is_long = known == NOTHING_KNOWN and len(text) > _LONG and not memory
        if is_long and text in self._long_texts:
            return self._long_texts[text]
        found = self._found(text, memory, known)
        if is_long:
            if len(self._long_texts) >= _LONG_KEPT:
                del self._long_texts[next(iter(self._long_texts))]
            self._long_texts[text] = found
        return found

    def _found(self, text: str, memory: Memory, known: Circumstances) -> Findings:
        found = Findings()
        if self._emails:
            spans = email_spans(text, was_asked=known.is_asked_for_email, is_partial=known.is_partial)
            found.names = [name for span in spans if (name := local_part(text[span.start : span.end]))]
            found.spans = [*spans, *memory.names_in(text)]
        if self.has_numbers:
            runs = digit_runs(text, without=[(span.start, span.end) for span in found.spans])
            self._find_numbers(runs, memory, known, found)
        found.spans = merged(found.spans)
        return found

    def _find_numbers(self, runs: list[Run], memory: Memory, known: Circumstances, found: Findings) -> None:
        left = []
        for run in runs:
            before = self._before(run, known, found)
            mark = self._mark(run, before, memory, known)
            if mark in (None, DIGITS):
                left.append(run)
            if mark is not None:
                found.spans.append(Span(run.start, run.end, mark))
                found.numbers += [(digits, mark) for digits in {run.digits, "".join((*before, run.digits))}]
            found.pieces = (*before, run.digits)
            found.is_whole = mark in (CARD, PHONE)
        if runs and not runs[-1].goes_on:
            found.pieces = ()
        for run in loose_runs(left) if self._cards else ():
            if is_card(run.digits):
                found.spans.append(Span(run.start, run.end, CARD))
                found.numbers.append((run.digits, CARD))

    def _before(self, run: Run, known: Circumstances, found: Findings) -> tuple[str, ...]:
        """The digits that the run may go on with. Within one text only if they go on with those before it."""
        if not known.before:
            return ()
        if found.pieces is None:
            is_dictated = not known.is_whole and known.fresh_digits >= _DICTATED
            return known.before if run.is_leading or (is_dictated and run.is_near(0)) else ()
        return found.pieces if run.is_near(run.behind) and not found.is_whole else ()

    def _mark(self, run: Run, before: tuple[str, ...], memory: Memory, known: Circumstances) -> str | None:
        """The mark for the run, which goes on with the digits ``before``; None when it stays."""
        begun = ["".join(before[first:]) for first in range(len(before))]
        if self._cards and (_holds_card(run, begun) or self._begins_with_card(run, known)):
            return CARD
        if self._phones and self._holds_phone(run, begun[known.stale :], known):
            return PHONE
        if (mark := memory.mark_of(run.digits)) is not None:
            return mark
        fresh = known.fresh_digits if before else 0
        may_go_on = fresh > 0 and (known.is_suspicious or known.is_partial)
        goes_on = may_go_on and fresh + len(run.digits) > KEPT_DIGITS and not self._is_other(run, known)
        return DIGITS if goes_on or self._may_be_a_part(run, known) else None

    def _is_other(self, run: Run, known: Circumstances) -> bool:
        """Whether the number is called something that stays; a telephone number does where only cards go."""
        if is_other(run.lead, known.asked):
            return True
        return not self._phones and names_telephone(f"{known.asked} {run.lead}")

    def _holds_phone(self, run: Run, begun: list[str], known: Circumstances) -> bool:
        if len(run.digits) >= PHONE_DIGITS[0]:
            parts = (part for part in run.parts() if len(run.digits) - len(part.digits) <= _DIGITS_BESIDE)
            if any(self._is_phone(part, known) for part in parts):
                return True
        return any(is_phone(start + run.digits, self._regions) for start in begun)

    def _begins_with_card(self, run: Run, known: Circumstances) -> bool:
        """Whether more digits follow a card's at once, as when somebody types on without a pause."""
        digits = run.digits
        if len(run.groups) > 1 or len(digits) <= CARD_DIGITS[-1] or self._is_other(run, known):
            return False
        return any(is_card(digits[:size]) for size in CARD_DIGITS)

    def _is_phone(self, run: Run, known: Circumstances) -> bool:
        if run.is_international:
            return is_phone(run.digits, (), is_international=True)
        return is_phone(run.digits, self._regions) and not self._is_other(run, known)

    def _may_be_a_part(self, run: Run, known: Circumstances) -> bool:
        if len(run.digits) <= KEPT_DIGITS:
            return False
        if known.is_partial:
            return True
        if self._is_other(run, known):
            return False
        if run.is_spoken and len(run.digits) in CARD_DIGITS:
            return True
        is_other_phone = not self._phones and len(run.digits) > len("9161234567") and is_phone(run.digits, ())
        return known.is_suspicious and not run.is_amount and not is_other_phone and (run.is_compact or run.is_open)


def _holds_card(run: Run, begun: list[str]) -> bool:
    """Whether a card's number is in the run, or ends in it after one of those beginnings."""
    if len(run.digits) >= CARD_DIGITS[0] and any(is_card(part.digits) for part in run.parts()):
        return True
    ends = [run.part(0, last).digits for last in range(len(run.groups))] if begun else []
    return any(is_card(start + end) for start in begun for end in ends)
