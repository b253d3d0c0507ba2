"""Rows as they are stored when an agent's file says ``redact``: without card numbers, telephone numbers, e-mails.

Every row of a call passes through here before anything outside the live call sees it: the journal, the record, the live
events, webhooks, the analysis, the search. The conversation core, the model and the tools have the real words.

A row of a type, or a field, that is not named here is redacted as plain text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from app.conversation import events as ev
from app.conversation.expected_answers import AnswerKind, expected_answer
from app.conversation.knowledge_events import KnowledgeSearched
from app.conversation.turns import UtteranceKind
from app.journal.wordless import AGENT_KEPT, has_words
from app.redaction.finder import Finder
from app.redaction.labels import names_other
from app.redaction.redactor import Redactor

_KEPT = frozenset({"id", "name", "kind", "language", "heard_by", "source", "stamps"})
"""Fields that hold no words."""
_FREE_TEXT = frozenset({"reason", "detail"})
"""Fields of rows without words that a vendor or a carrier may have filled."""
_AGENT_KEPT = AGENT_KEPT | {"outcome", "knowledge"}
_CREATED_KEPT = frozenset({"language", "telephony_usd_per_minute"})
_NO_QUESTIONS = frozenset({UtteranceKind.FILLER, UtteranceKind.PROMPT, UtteranceKind.APOLOGY})
_CONTINUES = re.compile(
    r"\b(?:дальше|далее|остал\w*|ещ[её]|слуша\w*|продолж\w*|потом|затем|rest|next|then|continue|go on|go ahead|more)\b",
    re.IGNORECASE,
)
_Data = dict[str, Any]


class RowRedactor:
    """Redacts the rows of one call, in their order."""

    def __init__(self, finder: Finder) -> None:
        self._texts = Redactor(finder)
        self._kinds: dict[int, str] = {}
        """Kinds of the agent's utterances, by number."""
        texts = self._texts
        self._rows: Mapping[str, Callable[[_Data], _Data]] = {
            ev.CallCreated.type: self._created,
            ev.CallerWords.type: lambda data: {"text": texts.interim(data["text"])},
            ev.CallerTurnEndedEagerly.type: lambda data: {"text": texts.interim(data["text"])},
            ev.CallerTurnResumed.type: lambda data: {"text": texts.interim(data["text"])},
            ev.CallerTurnEnded.type: lambda data: {"text": texts.ended(data["text"])},
            ev.CallerTyped.type: lambda data: {"text": texts.ended(data["text"])},
            ev.CallerDtmf.type: lambda data: {"digit": texts.key(data["digit"])},
            ev.TurnTaken.type: lambda data: {"text": texts.taken(data["text"])},
            ev.MessageTranscribed.type: lambda data: {"text": texts.ended(data["text"])},
            ev.AgentReplyStarted.type: self._reply_started,
            ev.AgentReplyGenerated.type: lambda data: {"text": texts.generated(data["speech"], data["text"])},
            ev.AgentClauseStarted.type: lambda data: {"text": texts.clause(data["speech"], data["text"])},
            ev.AgentPaused.type: lambda data: {"heard": texts.beginning(data["speech"], data["heard"])},
            ev.AgentInterrupted.type: self._spoken,
            ev.AgentFinished.type: self._spoken,
            ev.AgentToolCalled.type: lambda data: {"arguments": texts.json_text(data["arguments"])},
            ev.AgentToolFinished.type: lambda data: {"result": texts.json_text(data["result"])},
            KnowledgeSearched.type: lambda data: {"passages": texts.value(data["passages"])},
        }
        """For each type of row, the fields of its data that are not plain texts, as they are stored."""

    def __repr__(self) -> str:
        return f"<RowRedactor {self._texts!r}>"

    def redacted(self, kind: str, data: _Data) -> _Data:
        """The ``data`` of a row of that type, as it is stored."""
        if kind not in ev.EVENT_TYPES:
            return {name: self._texts.value(value) for name, value in data.items()}
        if kind == ev.CallerIgnored.type:
            self._texts.ignored()
        special = self._rows.get(kind)
        done = special(data) if special is not None else {}
        if has_words(kind) or special is not None:
            return {name: done[name] if name in done else self._plain(name, value) for name, value in data.items()}
        return {name: self._texts.value(value) if name in _FREE_TEXT else value for name, value in data.items()}

    def _plain(self, name: str, value: Any) -> Any:
        """A number of a known row is no text: of samples, of an utterance."""
        return value if name in _KEPT or isinstance(value, int | float) else self._texts.value(value)

    def _created(self, data: _Data) -> _Data:
        """Prompt, lines and tools may hold values of the call; names, versions and schemas do not."""
        agent = {
            name: value if name in _AGENT_KEPT else self._texts.value(value) for name, value in data["agent"].items()
        }
        return {"agent": agent, **{name: data[name] for name in _CREATED_KEPT if name in data}}

    def _reply_started(self, data: _Data) -> _Data:
        self._kinds[data["speech"]] = data["kind"]
        return {}

    def _spoken(self, data: _Data) -> _Data:
        raw = data["heard"]
        heard, generated = self._texts.spoken(data["speech"], raw, data["generated"])
        if raw and self._kinds.pop(data["speech"], UtteranceKind.REPLY) not in _NO_QUESTIONS:
            asks = expected_answer(raw)
            is_number = asks.kind is AnswerKind.NUMBER and not names_other(raw)
            goes_on = is_number or asks.kind in (AnswerKind.NOTHING, AnswerKind.YES_NO) or bool(_CONTINUES.search(raw))
            self._texts.heard(raw, goes_on=goes_on, asks_for_email=asks.is_email)
        return {"heard": heard, "generated": generated}
