"""Runs of digits: groups that may be one number, because only pauses, punctuation or "and then" stand between them."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from app.redaction.numbers import CARD_DIGITS
from app.spoken_digits import DigitGroup, digit_groups

_FILLERS = (
    "э|эм|мм|ну|вот|так|да|угу|ага|и|а|потом|затем|дальше|далее|следующие|остальное|остальные|последние|продолжаю|это"
    "|секунду|секундочку|минуту|сейчас|подождите|значит|плюс|цифры|keypad"
    "|um|uh|er|so|and|then|next|the|rest|is|are|it's|ok|okay|yes|yeah|last|ending|in|with|plus|dash|hyphen|тире|дефис"
    "|one moment|let me see"
)
_GAP = re.compile(rf"(?:[\W_]|\b(?:{_FILLERS})\b)*", re.IGNORECASE)
"""What may stand within a number, and before or after it in a turn that is only a part of it."""
_NO_GAP = re.compile(r"[:;+%№$€₽£\[\]{}\"\n]|\b(?:плюс|plus)\b", re.IGNORECASE)
"""What never stands within a number: it begins another one, or is of times, prices, marks, JSON."""
_UNIT = re.compile(
    r"\s*(?:руб|р\.|коп|долл|евро|тенге|тысяч|миллион|dollar|euro|pound|cent|thousand|million|usd|eur|[$€₽£%])",
    re.IGNORECASE,
)
_COMPACT_DIGITS = 4
_GROUPS_TRIED = 10
_LIST_DIGITS = 60
_USUAL_CARD = 16
_LEAD_LETTERS, _FEW_LETTERS = 48, 64
_PLUS_LETTERS = 8
_LOOSE_WORDS = 4
_WORD = re.compile(r"[^\W\d_]+")
_DATES = re.compile(
    r"(?<![\d.-])(?:(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[./](?:0?[1-9]|[12]\d|3[01])[./](?:19|20)\d\d)"
    r"(?:[T ]?\d\d?:\d\d(?::\d\d(?:\.\d+)?)?)?(?![\d-]|\.\d)"
    r"|(?<![\d:])\d\d?:\d\d(?::\d\d)?(?![\d:])"
    r"|(?<![\d.-])(?:19|20)\d\d ?[-–—] ?(?:19|20)\d\d(?![\d-]| ?[-–—] ?\d)"
)
"""Dates, times, and years from one to another."""
_ROUND = re.compile(r"\d{1,3}(?:[ \u00a0\u202f,.]\d{3})*[ \u00a0\u202f,.]000")


@dataclass(frozen=True, slots=True)
class Run:
    """Groups that may be one number."""

    groups: tuple[DigitGroup, ...]
    text: str
    behind: int = 0
    """The place behind the run before it."""
    digits: str = field(init=False, compare=False)
    """Of all groups."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "digits", "".join(group.digits for group in self.groups))

    @property
    def start(self) -> int:
        """Where it begins, with the ``+`` or the bracket before it."""
        start = self.groups[0].start
        while start and self.text[start - 1] in "+(":
            start -= 1
        return start

    @property
    def end(self) -> int:
        """The place behind it."""
        return self.groups[-1].end

    @property
    def is_international(self) -> bool:
        """Whether a plus is written or said before it."""
        start = self.groups[0].start
        return self.text[max(0, start - _PLUS_LETTERS) : start].rstrip().lower().endswith(("+", "плюс", "plus"))

    @property
    def lead(self) -> str:
        """The words right before it, which may name it. They end where another number or a mark is."""
        start = self.start
        first = max(self.behind, start - _LEAD_LETTERS)
        return self.text[max(first, self.text.rfind("]", first, start) + 1) : start]

    def is_near(self, place: int) -> bool:
        """Whether only a few words stand between a place before it and the run: "and the second part is ..."."""
        return _are_few(self.text, place, self.start)

    @property
    def is_leading(self) -> bool:
        """Whether nothing but pauses is before it."""
        return bool(_GAP.fullmatch(self.text, 0, self.start))

    @property
    def goes_on(self) -> bool:
        """Whether the text ends with it, but for a few words, so that more of it may follow."""
        return _are_few(self.text, self.end, len(self.text))

    @property
    def is_open(self) -> bool:
        """Whether nothing but pauses follows it."""
        return bool(_GAP.fullmatch(self.text, self.end))

    @property
    def is_compact(self) -> bool:
        """Whether it is no list of small numbers."""
        return any(len(group.digits) >= _COMPACT_DIGITS for group in self.groups)

    @property
    def is_spoken(self) -> bool:
        """Whether it was said in words, whose grouping is never certain: "двадцать пять" may be 25 and 20 5."""
        return not any(group.is_written for group in self.groups)

    @property
    def is_amount(self) -> bool:
        """Whether it is a price or an amount: ``1 250 000``, ``1 234 567 dollars``."""
        return bool(_ROUND.fullmatch(self.text, self.start, self.end) or _UNIT.match(self.text, self.end))

    def part(self, first: int, last: int) -> "Run":
        """From one group to another, that one included."""
        return Run(self.groups[first : last + 1], self.text, self.behind)

    def parts(self) -> Iterator["Run"]:
        """The run, and what it may hold besides a number before or after, such as the month in which a card expires.

        In many small groups some part always has a right check digit. So of a run that is short enough to be a card no
        part of a part is tried, and in a long list of numbers each is one.
        """
        yield self
        length = len(self.digits)
        is_short, is_list = length <= CARD_DIGITS[-1], length > _LIST_DIGITS
        if is_list:
            yield from (self.part(index, index) for index in range(len(self.groups)))
        elif not is_short or len(self.groups) <= _GROUPS_TRIED:
            yield from self._windows(is_short=is_short)

    def _windows(self, *, is_short: bool) -> Iterator["Run"]:
        count = len(self.groups)
        for first in range(count):
            length = 0
            for last in range(first, count):
                length += len(self.groups[last].digits)
                if length > CARD_DIGITS[-1]:
                    break
                if is_short or first == 0 or last == count - 1 or length == _USUAL_CARD:
                    yield self.part(first, last)


def digit_runs(text: str, *, without: Iterable[tuple[int, int]] = ()) -> list[Run]:
    """The runs of a text in order, without what stands in dates and times, and in the places of ``without``."""
    groups = digit_groups(text)
    if not groups:
        return []
    taken = sorted([*without, *(found.span() for found in _DATES.finditer(text))])
    free = [group for group in groups if not _overlaps(group, taken)]
    runs: list[Run] = []
    for joined in _joined(free, text, taken):
        runs.append(Run(tuple(joined), text, runs[-1].end if runs else 0))
    return runs


def loose_runs(runs: list[Run]) -> Iterator[Run]:
    """Neighbouring runs with at most four words between them, as one: those that are as long as a card."""
    are_near = [_are_near(before, run) for before, run in pairwise(runs)]
    for first in range(len(runs)):
        length = len(runs[first].digits)
        for last in range(first + 1, len(runs)):
            length += len(runs[last].digits)
            if length > CARD_DIGITS[-1] or not are_near[last - 1]:
                break
            if length in CARD_DIGITS:
                groups = tuple(group for run in runs[first : last + 1] for group in run.groups)
                yield Run(groups, runs[first].text, runs[first].behind)


def _are_few(text: str, start: int, end: int) -> bool:
    """Whether there are so few words that they hardly say anything else."""
    if _GAP.fullmatch(text, start, end):
        return True
    between = text[start:end] if end - start <= _FEW_LETTERS else None
    return between is not None and "[" not in between and len(_WORD.findall(between)) <= _LOOSE_WORDS


def _are_near(before: Run, run: Run) -> bool:
    between = run.text[before.end : run.start]
    return not _NO_GAP.search(between) and len(_WORD.findall(between)) <= _LOOSE_WORDS


def _joined(groups: list[DigitGroup], text: str, taken: list[tuple[int, int]]) -> list[list[DigitGroup]]:
    runs: list[list[DigitGroup]] = []
    for group in groups:
        if runs and _belong_together(text, runs[-1][-1].end, group.start, taken):
            runs[-1].append(group)
        else:
            runs.append([group])
    return runs


def _belong_together(text: str, start: int, end: int, taken: list[tuple[int, int]]) -> bool:
    if _NO_GAP.search(text, start, end) or not _GAP.fullmatch(text, start, end):
        return False
    behind = bisect_left(taken, (start,))
    return behind == len(taken) or taken[behind][0] >= end


def _overlaps(group: DigitGroup, taken: list[tuple[int, int]]) -> bool:
    """Whether the group is in one of the places, which are in order and do not overlap."""
    before = bisect_left(taken, (group.end,)) - 1
    return before >= 0 and taken[before][1] > group.start
