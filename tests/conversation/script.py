"""The language of these tests: a telephone call, told as it happens.

``Call`` holds a conversation core and plays the world around it: it keeps the time, lets deadlines come, does what the
core asks for, and tells the facts that follow. What a caller or the agent does takes the time it takes in life.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from app.clock import iso_after
from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.policy import ENGLISH, CallPolicy
from app.journal.record import CallRecord, call_record
from app.journal.revival import revive
from app.models import JournalRow, Patience
from tests.conversation.watched import memory

LINES = ENGLISH
_BORN = "2026-11-22T10:00:00.000Z"
_LETTERS_PER_SECOND = 15
_BEFORE_WORDS, _BEFORE_SILENCE, _BEFORE_TURN_END = 0.4, 0.6, 0.3


@dataclass(slots=True)
class Utterance:
    """What the agent was asked to say."""

    number: int
    turn: int
    kind: str
    text: str
    """Of a line what it says, of a reply what it answers."""
    language: str
    held: bool = False
    fate: str = "waiting"
    """``waiting``, ``speaking``, ``held back``, ``finished``, ``stopped`` or ``failed``."""
    clauses: list[str] = field(default_factory=list)
    written: str | None = None
    stamps: dict[str, float] = field(default_factory=dict)
    clause_t: float = 0.0
    """When the last clause began; moved on by its pauses."""
    clause_seconds: float = 0.0
    """How much of it had been said when the voice was held back."""

    def heard_by(self, now: float) -> str:
        """What the caller has heard, word by word."""
        if not self.clauses:
            return ""
        letters = round((now - self.clause_t) * _LETTERS_PER_SECOND)
        before, last = "".join(self.clauses[:-1]), self.clauses[-1]
        return before + last[: len(last) if letters >= len(last) else last.rfind(" ", 0, letters) + 1]

    @property
    def live(self) -> bool:
        return self.fate in ("waiting", "speaking", "held back")

    @property
    def audible(self) -> bool:
        return self.fate in ("speaking", "held back")

    @property
    def said(self) -> str:
        return "".join(self.clauses)


class Call:
    """A call from its creation on. Verbs make something happen; ``asked`` is what the core wanted for the last one."""

    def __init__(self, language: str = "en", **manners: Any) -> None:
        self.policy = replace(CallPolicy(), **manners)
        self.core = ConversationCore(self.policy, language)
        self.now = 0.0
        self.rows: list[JournalRow] = []
        self.answers: list[list[cmd.Command]] = []
        """What the core asked for, row by row."""
        self.asked: list[cmd.Command] = []
        self.utterances: list[Utterance] = []
        self.threshold_raised = 0
        self.patience: list[Patience] = []
        """What speech to text was told, in its order."""
        self.transfer: str | None = None
        """To whom the caller is being handed over."""
        self.keeps_message = False
        self.transcribed = 0
        """How often the sound of a message was to be transcribed."""
        self.pressed = ""
        self.ended: tuple[str, str] | None = None
        """End reason and fault."""
        self._heard: str | None = None
        self.tell(ev.CallCreated(self.policy.to_dict(), language))

    # --- what can be seen ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.core.state.value

    @property
    def remembers(self) -> list[tuple[str, str]]:
        return [(remark.role, remark.text) for remark in self.core.history]

    @property
    def record(self) -> CallRecord:
        return call_record(self.rows)

    @property
    def lines(self) -> list[str]:
        """The fixed texts that the agent was asked to say, in their order."""
        return [utterance.text for utterance in self.utterances if utterance.kind != "reply"]

    @property
    def replies(self) -> list[Utterance]:
        return [utterance for utterance in self.utterances if utterance.kind == "reply"]

    @property
    def live(self) -> list[Utterance]:
        return [utterance for utterance in self.utterances if utterance.live]

    @property
    def audible(self) -> Utterance | None:
        return next((utterance for utterance in self.utterances if utterance.audible), None)

    @property
    def waiting(self) -> list[Utterance]:
        """What may begin as soon as there is sound."""
        return [utterance for utterance in self.utterances if utterance.fate == "waiting" and not utterance.held]

    @property
    def shown(self) -> list[tuple[str, str]]:
        """What the model is shown of the conversation."""
        return [(remark.role, remark.text) for remark in self.core.history.shown()]

    def last(self, kind: str) -> Utterance:
        return next(utterance for utterance in reversed(self.utterances) if utterance.kind == kind)

    def facts(self, of: str) -> list[dict[str, Any]]:
        """The data of every row of a type."""
        return [row.data for row in self.rows if row.type == of]

    @property
    def ignored(self) -> list[str]:
        return [data["reason"] for data in self.facts("caller.ignored")]

    @property
    def turns(self) -> list[tuple[str, str]]:
        """The turns that were taken, each with its source."""
        return [(data["text"], data["source"]) for data in self.facts("turn.taken")]

    # --- the call -----------------------------------------------------------------------------------------------------

    def is_answered(self) -> "Call":
        return self._happens(ev.CallAnswered())

    def is_greeted(self) -> "Call":
        """Answered, and the greeting was heard."""
        self.is_answered()
        return self.agent_says_the_line()

    def operator_says(self, text: str) -> "Call":
        return self._happens(ev.SayRequested(text))

    def operator_hangs_up(self) -> "Call":
        return self._happens(ev.HangupRequested())

    def costs(self, spent_usd: float, limit_usd: float) -> "Call":
        return self._happens(ev.SpendingReached(spent_usd, limit_usd))

    def operator_hands_over(self, to: str = "sales") -> "Call":
        return self._happens(ev.TransferRequested(to))

    def human_takes_over(self, how: str = "refer") -> "Call":
        return self._happens(ev.TransferCompleted(how))

    def human_is_called(self) -> "Call":
        """Into the room: the network does not take the caller along."""
        return self._happens(ev.TransferDialled())

    def transfer_fails(self, reason: str = "no_answer") -> "Call":
        self.transfer = None
        return self._happens(ev.TransferFailed(reason))

    def service_stops(self, *, at_once: bool = False) -> "Call":
        return self._happens(ev.HangupRequested("shutdown", at_once))

    def wait(self, seconds: float) -> "Call":
        """Nothing happens, but what is due."""
        self.asked = []
        self._pass(seconds)
        return self

    def process_dies(self, gap_seconds: float = 1.0) -> "Call":
        """Another process rebuilds the core from the rows, and has the caller that much later."""
        died_t, dead = self.now, self.core
        revival = revive(self.rows)
        assert memory(revival.core) == memory(dead), "the heir remembers something else"
        assert revival.undecided == ()
        self.core = revival.core
        ends = self.core.cut_off(died_t)
        self.keeps_message = False
        for utterance in self.live:
            utterance.fate = "stopped"
        if not revival.core._call.human_is_dialled:
            self.transfer = None
        self.now += gap_seconds
        return self._happens(ev.CallTakenOver(died_t, gap_seconds, "heir"), *ends)

    # --- the caller ---------------------------------------------------------------------------------------------------

    def caller_makes_a_sound(self) -> "Call":
        return self._happens(ev.CallerSoundStarted(self.now))

    def caller_falls_silent(self) -> "Call":
        return self._happens(ev.CallerSoundStopped(self.now))

    def caller_begins(self, text: str, confidence: float | None = None) -> "Call":
        """Words so far; the turn goes on."""
        return self._happens(ev.CallerWords(text, confidence=confidence))

    def caller_seems_to_end(self, text: str, language: str | None = None) -> "Call":
        return self._happens(ev.CallerTurnEndedEagerly(text, language))

    def caller_resumes(self, text: str = "") -> "Call":
        return self._happens(ev.CallerTurnResumed(text))

    def caller_ends(
        self,
        text: str,
        confidence: float | None = 0.9,
        language: str | None = None,
        last_voiced_t: float | None = None,
    ) -> "Call":
        last_voiced_t = self.now if last_voiced_t is None else last_voiced_t
        return self._happens(ev.CallerTurnEnded(text, confidence, language, last_voiced_t))

    def caller_says(self, text: str, confidence: float | None = 0.9, language: str | None = None) -> "Call":
        """A whole turn: sound, words, silence, and the end of the turn."""
        self.asked = []
        self._tell(ev.CallerSoundStarted(self.now))
        self._pass(_BEFORE_WORDS)
        self._tell(ev.CallerWords(text))
        self._pass(_BEFORE_SILENCE)
        last_voiced_t = self.now
        self._tell(ev.CallerSoundStopped(last_voiced_t))
        self._pass(_BEFORE_TURN_END)
        self._tell(ev.CallerTurnEnded(text, confidence, language, last_voiced_t))
        return self

    def caller_presses(self, keys: str) -> "Call":
        return self._happens(*(ev.CallerDtmf(digit) for digit in keys))

    def caller_types(self, text: str) -> "Call":
        return self._happens(ev.CallerTyped(text))

    def caller_hangs_up(self) -> "Call":
        return self._happens(ev.CallerLeft())

    def line_breaks(self) -> "Call":
        return self._happens(ev.CallerLeft("media_lost"))

    # --- the agent ----------------------------------------------------------------------------------------------------

    def agent_begins(self, clause: str | None = None) -> "Call":
        """The first sound of what waits leaves for the caller: of a reply this clause, else of a line all its words."""
        self.asked = []
        self.begin(next(speech for speech in self.waiting if (speech.kind == "reply") is (clause is not None)), clause)
        return self

    def agent_goes_on(self, clause: str) -> "Call":
        speech = self._speaking()
        speech.clauses.append(clause)
        speech.clause_t = self.now
        return self._happens(ev.AgentClauseStarted(speech.turn, speech.number, clause, 0))

    def agent_has_written(self, text: str) -> "Call":
        """The whole text of the reply is known; it need not have begun."""
        speech = self.audible or self.waiting[0]
        speech.written = text
        return self._happens(ev.AgentReplyGenerated(speech.turn, speech.number, text))

    def agent_falls_silent(self) -> "Call":
        """What is being said was heard to its last word."""
        self.asked = []
        self.finish(self._speaking())
        return self

    def agent_says(self, *clauses: str) -> "Call":
        """A whole reply."""
        self.agent_begins(clauses[0])
        for clause in clauses[1:]:
            self._pass(1.0)
            self.agent_goes_on(clause)
        self.agent_has_written("".join(clauses))
        self._pass(1.0)
        return self.agent_falls_silent()

    def agent_says_the_line(self) -> "Call":
        """The line that waits, from its beginning to its end."""
        self.agent_begins()
        self._pass(1.0)
        return self.agent_falls_silent()

    def agent_has_nothing_to_say(self) -> "Call":
        """The reply has ended without a sound."""
        self.asked = []
        self.finish(self.waiting[0])
        return self

    def model_asks_to_hang_up(self) -> "Call":
        return self.model_calls("end_call")

    def model_calls(self, name: str, arguments: str = "{}") -> "Call":
        """A tool, together with the answer that is being made."""
        speech = self.live[-1]
        return self._happens(ev.AgentToolCalled(speech.turn, speech.number, "call_1", name, arguments))

    def model_hands_over(self, target: str = "sales") -> "Call":
        return self.model_calls("transfer", f'{{"target": "{target}"}}')

    def caller_has_heard(self, text: str) -> "Call":
        """When the agent is stopped next, so much of what it said was heard."""
        self._heard = text
        return self

    # --- the vendors --------------------------------------------------------------------------------------------------

    def thinking_fails(self, *, final: bool = True) -> "Call":
        return self._provider_fails("openai", "think", self.replies[-1], final=final)

    def thinking_is_refused(self) -> "Call":
        """For what the caller said."""
        return self._provider_fails("openai", "think", self.replies[-1], final=True, answer="refused")

    def thinking_is_cut(self, code: str = "length") -> "Call":
        """The model ends before it has said all; what it has written is said."""
        speech = self.replies[-1]
        return self._happens(ev.ProviderFailed("openai", "think", code, True, speech.turn, speech.number, answer="cut"))

    def speaking_fails(self, *, final: bool = True) -> "Call":
        return self._provider_fails("cartesia", "speak", self.audible or self.live[-1], final=final)

    def hearing_fails(self, *, final: bool = False) -> "Call":
        return self._happens(ev.ProviderFailed("deepgram", "listen", "stt_lost", final))

    def hearing_works_again(self) -> "Call":
        return self._happens(ev.ProviderRestored("deepgram", "listen"))

    def _provider_fails(
        self, provider: str, stage: str, speech: Utterance, *, final: bool, answer: str = "lost"
    ) -> "Call":
        if final and not speech.audible:
            speech.fate = "failed"
        failed = ev.ProviderFailed(provider, stage, "broken", final, speech.turn, speech.number, answer=answer)
        return self._happens(failed)

    # --- the world ----------------------------------------------------------------------------------------------------

    def begin(self, speech: Utterance, clause: str | None = None) -> None:
        """Its first sound leaves."""
        speech.fate = "speaking"
        self._tell(ev.AgentReplyStarted(speech.turn, speech.number, speech.kind, dict(speech.stamps)))
        text = clause if clause is not None else speech.text
        if speech.audible:
            speech.clauses.append(text)
            speech.clause_t = self.now
            self._tell(ev.AgentClauseStarted(speech.turn, speech.number, text, 0))

    def finish(self, speech: Utterance) -> None:
        """It was heard to its last word."""
        speech.fate = "finished"
        self._tell(ev.AgentFinished(speech.turn, speech.number, speech.said, speech.said))

    def tell(self, event: ev.Event) -> list[cmd.Command]:
        """Any fact; returns what the core asked for."""
        self.asked = []
        self._tell(event)
        return self.asked

    def _happens(self, *events: ev.Event) -> "Call":
        self.asked = []
        for event in events:
            self._tell(event)
        return self

    def _tell(self, event: ev.Event) -> None:
        turn = self.core.turn_of(event)
        commands = self.core.handle(event, self.now)
        self._write(event, turn, commands)
        for command in commands:
            if isinstance(command, cmd.SetPatience):
                self.patience.append(command.patience)
            elif not isinstance(command, cmd.Record):
                self.asked.append(command)
            for fact in self._carry_out(command):
                self._tell(fact)

    def _carry_out(self, command: cmd.Command) -> Iterator[ev.Event]:
        match command:
            case cmd.StartReply(turn, speech, language, text, held):
                self.utterances.append(Utterance(speech, turn, "reply", text, language, held))
            case cmd.Say(turn, speech, kind, language, text):
                self.utterances.append(Utterance(speech, turn, kind, text, language, written=text))
            case cmd.ReleaseReply(speech):
                self._of(speech).held = False
            case cmd.HoldReply(speech):
                self._of(speech).held = True
            case cmd.PauseUtterance(speech):
                self._of(speech).fate = "held back"
                self._of(speech).clause_seconds = self.now - self._of(speech).clause_t
                yield ev.AgentPaused(self._of(speech).turn, speech, self._of(speech).heard_by(self.now))
            case cmd.ResumeUtterance(speech):
                self._of(speech).fate = "speaking"
                self._of(speech).clause_t = self.now - self._of(speech).clause_seconds
                yield ev.AgentResumed(self._of(speech).turn, speech)
            case cmd.StopUtterance(speech):
                yield from self._stop(self._of(speech))
            case cmd.EndCall(reason, fault):
                self.ended = reason, fault
                yield ev.CallEnded(reason, fault)
            case _:
                self._carry_out_silently(command)

    def _carry_out_silently(self, command: cmd.Command) -> None:
        """What no fact follows upon, or not at once."""
        match command:
            case cmd.RaiseThreshold():
                self.threshold_raised += 1
            case cmd.Transfer(to):
                self.transfer = to
            case cmd.CancelTransfer():
                self.transfer = None
            case cmd.SendDigits(digits):
                self.pressed += digits
            case cmd.KeepMessage():
                self.keeps_message = True
            case cmd.TranscribeMessage():
                assert self.keeps_message
                self.transcribed += 1
            case cmd.Record(event):
                self._write(event, getattr(event, "turn", None), [])

    def _stop(self, speech: Utterance) -> Iterator[ev.Event]:
        was_audible = speech.audible
        if speech.live:
            speech.fate = "stopped"
        if was_audible:
            heard, self._heard = speech.said if self._heard is None else self._heard, None
            yield ev.AgentInterrupted(speech.turn, speech.number, heard, speech.said)

    def _write(self, event: ev.Event, turn: int | None, commands: list[cmd.Command]) -> None:
        data, at = ev.row_data(event), iso_after(_BORN, self.now)
        self.rows.append(JournalRow(len(self.rows) + 1, at, self.now, event.type, turn, ev.VERSION, data))
        self.answers.append(commands)

    def _pass(self, seconds: float) -> None:
        until = self.now + seconds
        while (deadline := self.core.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self._tell(self.core.deadline_passed())
        self.now = until

    def _of(self, number: int) -> Utterance:
        return next(utterance for utterance in self.utterances if utterance.number == number)

    def _speaking(self) -> Utterance:
        assert self.audible is not None, "the agent is silent"
        return self.audible


def greeted_call(**manners: Any) -> Call:
    """A call in English whose greeting was heard."""
    return Call(**manners).is_greeted()


def agent_is_answering(clause: str = "We are open from nine to six. ", **manners: Any) -> Call:
    """A call in which the agent has begun its first answer with this clause."""
    return greeted_call(**manners).caller_says("When are you open?").agent_begins(clause)
