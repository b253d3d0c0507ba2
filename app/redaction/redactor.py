"""Takes out of the texts of one call what must not be stored, in the order in which the texts come.

A number may come in pieces: "4276 55" in one turn and "00 12 34 5678" in the next, or in the clauses of an answer. The
first piece is stored before anybody knows that it was one. So of a number that comes in pieces the first six digits may
stay, and from the seventh on everything is taken out that goes on with it. What was taken out once is known from then
on, and parts of it are taken out as well, whoever says them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.redaction.finder import KEPT_DIGITS, Circumstances, Finder, Findings
from app.redaction.marks import DIGITS, Span, marked
from app.redaction.memory import Memory
from app.redaction.numbers import CARD_DIGITS

_LEAST_LETTERS, _LEAST_NUMBER = 4, 1000
"""Nothing shorter or smaller is taken out of JSON."""
_NAME = re.compile(r"[A-Za-z_]*")
_TURNS_WITHOUT_DIGITS = 3
"""After so many turns nobody goes on with a number."""


@dataclass(slots=True)
class Ledger:
    """The digits that one person has ended with, and that more may follow."""

    pieces: tuple[str, ...] = ()
    stale: int = 0
    """So many of the pieces were said before the agent asked for something else."""
    is_whole: bool = False
    """They are a whole number."""
    turns: int = 0
    """Turns without digits since then."""

    @property
    def fresh_digits(self) -> int:
        """How many digits were said on the present subject."""
        return sum(map(len, self.pieces[self.stale :]))

    def after(self, found: Findings) -> "Ledger":
        """What follows after a text with these findings."""
        if found.pieces is None:
            return Ledger() if self.turns == _TURNS_WITHOUT_DIGITS else replace(self, turns=self.turns + 1)
        goes_on = len(found.pieces) > len(self.pieces)
        after = Ledger(found.pieces, self.stale if goes_on else 0, found.is_whole)
        return Ledger() if after.fresh_digits >= CARD_DIGITS[-1] else after

    def of_another_subject(self) -> "Ledger":
        """The same after the agent has asked for something else."""
        return replace(self, stale=len(self.pieces))


class Redactor:
    """What is known of one call, and what is taken out of its next text. Nothing here waits or is shared."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._memory = Memory()
        self._caller, self._caller_at_turn = Ledger(), Ledger()
        """Now, and when the caller's last turn was taken: a turn holds all words since then once more."""
        self._keys = 0
        """Keys pressed since then."""
        self._clauses: dict[int, Ledger] = {}
        """The clauses of an utterance so far, by its number."""
        self._generated: dict[int, str] = {}
        self._agent = Ledger()
        self.asked = ""
        """What the caller has heard last."""
        self.is_asked_for_email = False

    def heard(self, text: str, *, goes_on: bool, asks_for_email: bool) -> None:
        """Note what the caller has heard. ``goes_on`` is whether a number may go on after it."""
        self.asked, self.is_asked_for_email = text, asks_for_email
        if not goes_on:
            self._caller = self._caller.of_another_subject()
            self._caller_at_turn = self._caller_at_turn.of_another_subject()

    def interim(self, text: str) -> str:
        """Words of the caller's turn, which later ones replace."""
        return self._redacted(text, replace(self._of_caller(self._caller), is_partial=True))

    def ended(self, text: str) -> str:
        """The words of a turn whose end was heard. More may follow before it is taken."""
        found = self._found(text, self._of_caller(self._caller))
        self._caller = self._caller.after(found)
        return marked(text, found.spans)

    def taken(self, text: str) -> str:
        """The words, or the keys, of a turn that is answered."""
        found = self._found(text, self._of_caller(self._caller_at_turn))
        self._caller = self._caller_at_turn = self._caller_at_turn.after(found)
        self._keys = 0
        return marked(text, found.spans)

    def ignored(self) -> None:
        """What the caller has said is no turn."""
        self._caller_at_turn = self._caller

    def key(self, digit: str) -> str:
        """A key that the caller has pressed."""
        if not digit.isdecimal() or not self._finder.has_numbers:
            return digit
        self._keys += 1
        return DIGITS if self._caller_at_turn.fresh_digits + self._keys > KEPT_DIGITS else digit

    def clause(self, utterance: int, text: str) -> str:
        """A clause of the agent, which is part of a text that comes as a whole later."""
        before = self._clauses.get(utterance, Ledger())
        found = self._found(text, Circumstances(before.pieces, is_partial=True))
        self._clauses[utterance] = before.after(found)
        return marked(text, found.spans)

    def generated(self, utterance: int, text: str) -> str:
        """All that an utterance will say."""
        self._generated[utterance] = text
        return self.plain(text)

    def beginning(self, utterance: int, heard: str) -> str:
        """What the caller has heard of an utterance that goes on."""
        whole = self._generated.get(utterance, "")
        if heard and whole.startswith(heard):
            return marked(heard, self._spans(whole))
        return self._redacted(heard, Circumstances(is_partial=True))

    def spoken(self, utterance: int, heard: str, generated: str) -> tuple[str, str]:
        """What was heard of an utterance, and all that it was to say: the first stays a beginning of the second."""
        self._clauses.pop(utterance, None)
        self._generated.pop(utterance, None)
        found = self._found(generated, Circumstances(self._agent.pieces))
        self._agent = self._agent.after(found)
        if generated.startswith(heard):
            return marked(heard, found.spans), marked(generated, found.spans)
        return self._redacted(heard, Circumstances(is_partial=True)), marked(generated, found.spans)

    def plain(self, text: str) -> str:
        """Any other text."""
        return self._redacted(text, Circumstances())

    def json_text(self, text: str) -> str:
        """JSON in a text, such as the arguments of a tool; it stays JSON. What is none is a plain text."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.plain(text)
        kept = self.value(value)
        return text if kept == value else json.dumps(kept, ensure_ascii=False)

    def value(self, value: Any) -> Any:
        """A JSON value. A number of so many digits becomes a mark."""
        if isinstance(value, str):
            return self.plain(value) if len(value) >= _LEAST_LETTERS else value
        if isinstance(value, int) and abs(value) >= _LEAST_NUMBER:  # neither is a truth value so large
            written = str(value)
            return value if (kept := self.plain(written)) == written else kept
        if isinstance(value, Mapping):
            return {
                name if _NAME.fullmatch(name) else self.plain(name): self.value(item) for name, item in value.items()
            }
        return [self.value(item) for item in value] if isinstance(value, list | tuple) else value

    def _of_caller(self, ledger: Ledger) -> Circumstances:
        return Circumstances(
            ledger.pieces, ledger.stale, ledger.is_whole, self.asked, self.is_asked_for_email, is_suspicious=True
        )

    def _redacted(self, text: str, known: Circumstances) -> str:
        return marked(text, self._found(text, known).spans)

    def _spans(self, text: str) -> list[Span]:
        return self._found(text, Circumstances()).spans

    def _found(self, text: str, known: Circumstances) -> Findings:
        found = self._finder.find(text, self._memory, known)
        if not known.is_partial:  # half an order number looks like anything
            self._memory.learn(found.numbers, found.names)
        return found
