"""What is going on in a conversation: the caller's open turn, and the agent's live utterances."""

from dataclasses import dataclass, field
from enum import StrEnum

from app.conversation.answerable import can_be_answered
from app.conversation.echo_text import heard_words
from app.conversation.events import AgentToolCalled, CallerTurnEnded
from app.conversation.notices import unheard_statements
from app.conversation.policy import KeyMeaning

_CHARACTERS_PER_SECOND = 15
"""The rate of average speech, for estimates only."""


class UtteranceKind(StrEnum):
    """Why the agent speaks."""

    REPLY = "reply"
    DISCLOSURE = "disclosure"
    """That the caller speaks with an automatic system, and that the call is recorded; nothing cuts it."""
    CONSENT = "consent"
    """Whether the call may be recorded, or that it is not."""
    GREETING = "greeting"
    NOTICE = "notice"
    """The part of the greeting that a caller who cut in has not heard; it comes before the answer."""
    PROMPT = "prompt"
    APOLOGY = "apology"
    FILLER = "filler"
    RECONNECTED = "reconnected"
    """The line that bridges the time in which the process of the call had died."""
    SAY = "say"
    TRANSFER = "transfer"
    GOODBYE = "goodbye"


@dataclass(slots=True)
class CallerTurn:
    """The caller's open turn."""

    number: int
    started_t: float
    text: str = ""
    """All words so far."""
    confidence: float | None = None
    """The confidence in the words, if speech to text has reported one."""
    language: str | None = None
    """Their language, if speech to text has told it."""
    before: str = ""
    """Words that speech to text reported as a whole turn, although the caller had not finished."""
    ended: CallerTurnEnded | None = None
    """The end of turn that speech to text has reported, while the core waits for more words."""

    @property
    def reported(self) -> str:
        """The words of the turn as speech to text sees it: those since the last pause that it took for an end."""
        return self.text.removeprefix(self.before).strip()

    def whole(self, text: str) -> str:
        """All words of the turn: the earlier ones, and ``text``, which speech to text may take for a new turn."""
        words, before = heard_words(text), heard_words(self.before)
        return text if words[: len(before)] == before else f"{self.before} {text}".strip()


@dataclass(slots=True)
class Utterance:
    """An utterance of the agent that is being written, waits for its first sound, or is heard."""

    number: int
    turn: int
    kind: UtteranceKind
    text: str
    """The text of a fixed line, or the caller's words that a reply answers."""
    language: str
    preemptive: bool = False
    """Started before the end of the turn was certain."""
    interruptible: bool = True
    ends_call: str | None = None
    """The end reason, when the call ends after the last word."""
    transfers_to: str | None = None
    """The target to which the caller is transferred after the last word."""
    digits: str = ""
    """The keys to press after the last word."""
    started: bool = False
    paused: bool = False
    paused_t: float = 0.0
    backchanneled: bool = False
    """Whether the caller has only said something like "uh-huh" since the pause."""
    false_interruptions: int = 0
    """How often a sound paused it and no words followed."""
    broken: bool = False
    """Whether the rest of the text will never come."""
    cut: bool = False
    """Whether the model ended it early."""
    refused: bool = False
    """Whether the model's vendor refuses what the caller said."""
    late_provider: str | None = None
    """The vendor that was late or failed last while this was made; another may still answer."""
    written: str | None = None
    """The whole text, once it is known."""
    clauses: list[str] = field(default_factory=list)
    """The clauses that have begun."""
    clause_t: float = 0.0
    """When the last clause began, moved forward by the pauses since then."""
    heard_at_pause: str | None = None
    """What the caller had heard when the voice was paused; None while it plays."""
    tools: list[AgentToolCalled] = field(default_factory=list)
    """Tools to run when the turn is certainly over."""
    key: KeyMeaning | None = None
    """The key whose tool is run first."""

    @property
    def is_own_words(self) -> bool:
        """Whether it asks and tells what the conversation is about, unlike a line that is said in between."""
        return self.kind in (UtteranceKind.REPLY, UtteranceKind.GREETING, UtteranceKind.CONSENT)

    @property
    def said(self) -> str:
        """The clauses that have begun."""
        return "".join(self.clauses)

    @property
    def is_in_last_clause(self) -> bool:
        """Whether its last clause has begun and its text is known to be whole."""
        return self.written is not None and self.said.strip() == self.written.strip()

    @property
    def is_final(self) -> bool:
        """Whether the caller is transferred after it, whatever they say."""
        return self.transfers_to is not None and (self.started or self.kind is not UtteranceKind.REPLY)

    def heard_by(self, now: float) -> str:
        """What the caller has heard: as reported at a pause, else estimated from the time since the last clause."""
        if self.heard_at_pause is not None:
            return self.heard_at_pause
        *before, last = self.clauses or [""]
        seconds = (self.paused_t if self.paused else now) - self.clause_t
        return "".join(before) + last[: max(0, int(seconds * _CHARACTERS_PER_SECOND))]

    def go_on(self, now: float) -> None:
        """Note that the pause is over."""
        self.clause_t += now - self.paused_t
        self.paused, self.heard_at_pause = False, None

    def can_be_answered(self, now: float, *, yes: bool) -> bool:
        """Whether a backchannel would be an answer now; see :func:`can_be_answered`."""
        whole = self.said if self.written is None else self.written
        return can_be_answered(whole, self.heard_by(now), is_whole=self.written is not None, yes=yes)


_STOPPED_KEPT = 8


class Floor:
    """The agent's live utterances: at most one reply and one fixed line, of which one is audible."""

    def __init__(self) -> None:
        self.reply: Utterance | None = None
        self.line: Utterance | None = None
        self.unheard_greeting = ""
        """What must still be heard of the greeting, which the caller has cut short."""
        self._stopped: dict[int, Utterance] = {}
        self.last_number = 0
        """The serial number of the last utterance."""

    def next_number(self) -> int:
        """The serial number for the next utterance."""
        self.last_number += 1
        return self.last_number

    @property
    def audible(self) -> Utterance | None:
        """The utterance that has begun and not ended; it may be paused."""
        for utterance in (self.line, self.reply):
            if utterance is not None and utterance.started:
                return utterance
        return None

    @property
    def reply_pending(self) -> bool:
        """Whether an answer to a finished turn is being made and has not begun."""
        return self.reply is not None and not self.reply.preemptive and not self.reply.started

    @property
    def live(self) -> list[Utterance]:
        """All that would have to be stopped for silence."""
        return [utterance for utterance in (self.line, self.reply) if utterance is not None]

    def find(self, number: int) -> Utterance | None:
        """The live utterance of that number; None when it is over."""
        return next((utterance for utterance in self.live if utterance.number == number), None)

    def forget(self, utterance: Utterance) -> None:
        """Drop an utterance that is over."""
        if self.reply is utterance:
            self.reply = None
        if self.line is utterance:
            self.line = None

    def note_unheard(self, utterance: Utterance, now: float) -> None:
        """Before a greeting, or the rest of it, is stopped: keep what the caller must still hear of it."""
        if utterance.kind in (UtteranceKind.GREETING, UtteranceKind.NOTICE):
            heard = utterance.heard_by(now) if utterance.started else ""
            self.unheard_greeting = unheard_statements(utterance.text.strip(), heard)

    def stop(self, utterance: Utterance) -> None:
        """Drop a stopped utterance. An event will say what was heard of it, even if the core has not seen it begin."""
        self.forget(utterance)
        if not utterance.preemptive:
            self._stopped[utterance.number] = utterance
        if len(self._stopped) > _STOPPED_KEPT:
            del self._stopped[min(self._stopped)]

    def take_stopped(self, number: int) -> UtteranceKind | None:
        """The kind of a stopped utterance, when the event of its end has come; None the second time."""
        utterance = self.take_stopped_utterance(number)
        return None if utterance is None else utterance.kind

    def take_stopped_utterance(self, number: int) -> Utterance | None:
        """The same, with all that is known of it."""
        return self._stopped.pop(number, None)

    @property
    def stopped(self) -> list[Utterance]:
        """Stopped utterances of whose end nothing has come yet."""
        return list(self._stopped.values())
