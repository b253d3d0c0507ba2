"""What is going on in a conversation: the caller's open turn, and the agent's live utterances."""

from dataclasses import dataclass, field
from enum import StrEnum

from app.conversation.events import AgentToolCalled
from app.conversation.questions import is_question


class UtteranceKind(StrEnum):
    """Why the agent speaks."""

    REPLY = "reply"
    GREETING = "greeting"
    PROMPT = "prompt"
    APOLOGY = "apology"
    FILLER = "filler"
    SAY = "say"
    TRANSFER = "transfer"
    GOODBYE = "goodbye"


@dataclass(slots=True)
class CallerTurn:
    """The caller's open turn."""

    number: int
    started_t: float
    text: str = ""


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
    """Where the caller is transferred after the last word."""
    digits: str = ""
    """The keys to press after the last word."""
    started: bool = False
    paused: bool = False
    paused_t: float = 0.0
    backchanneled: bool = False
    """Since the pause the caller has only said something like "uh-huh"."""
    false_interruptions: int = 0
    """How often it was paused and no words followed."""
    broken: bool = False
    """The rest of the text will never come."""
    cut: bool = False
    """The model ended it early."""
    refused: bool = False
    """The model's vendor refuses what the caller said."""
    written: str | None = None
    """The whole text, once it is known."""
    clauses: list[str] = field(default_factory=list)
    tools: list[AgentToolCalled] = field(default_factory=list)
    """Tools to run when the turn is certainly over."""

    @property
    def said(self) -> str:
        """The clauses that have begun."""
        return "".join(self.clauses)

    @property
    def is_final(self) -> bool:
        """Whether the caller is transferred after it, whatever they say."""
        return self.transfers_to is not None and (self.started or self.kind is not UtteranceKind.REPLY)

    @property
    def expects_answer(self) -> bool:
        """Whether "yes" would be an answer now: the agent has asked something, or is in its last clause."""
        if not self.clauses:
            return False
        last = self.clauses[-1]
        in_last_clause = self.written is not None and self.written.rstrip().endswith(last.rstrip())
        return is_question(last) or (in_last_clause and len(self.clauses) > 1)


_STOPPED_KEPT = 8


class Floor:
    """The agent's live utterances: at most one reply and one fixed line, of which one is audible."""

    def __init__(self) -> None:
        self.reply: Utterance | None = None
        self.line: Utterance | None = None
        self._stopped: dict[int, UtteranceKind] = {}
        self._last_number = 0

    def next_number(self) -> int:
        """Serial number for an utterance."""
        self._last_number += 1
        return self._last_number

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
        """It is over."""
        if self.reply is utterance:
            self.reply = None
        if self.line is utterance:
            self.line = None

    def stop(self, utterance: Utterance) -> None:
        """It is over. An event with what was heard of it will come, even if it has not begun for the core yet."""
        self.forget(utterance)
        if not utterance.preemptive:
            self._stopped[utterance.number] = utterance.kind
        if len(self._stopped) > _STOPPED_KEPT:
            del self._stopped[min(self._stopped)]

    def take_stopped(self, number: int) -> UtteranceKind | None:
        """The kind of a stopped utterance, when the event of its end has come; None the second time."""
        return self._stopped.pop(number, None)
