"""What the core makes of the caller: sound holds the voice back, words stop it, a finished turn is owed an answer."""

from app.conversation import events as ev
from app.conversation.acknowledgements import is_acknowledgement, is_stop_word
from app.conversation.commands import Record
from app.conversation.deadlines import Deadline
from app.conversation.echo_words import is_echo
from app.conversation.situation import Situation
from app.conversation.turns import CallerTurn, Speech, SpeechKind
from app.models import ConversationState

_SHORT_HELLO_WORDS = 2
_REPEATS_BEFORE_KEYPAD = 2


class CallerSide:
    """Handles the caller's facts."""

    def __init__(self, situation: Situation) -> None:
        self._call = situation
        self._digits = ""
        self._unclear = 0

    def sound_started(self, event: ev.CallerSoundStarted) -> None:
        """Hold the voice back at once."""
        self._call.sound, self._call.sound_since_t = True, event.since_t
        speech = self._call.floor.audible
        if speech is not None and speech.interruptible and not speech.paused:
            self._call.pause(speech)

    def sound_stopped(self, event: ev.CallerSoundStopped) -> None:
        """Wait a moment for words, then go on."""
        self._call.sound, self._call.last_voiced_t = False, event.last_voiced_t
        speech = self._call.floor.audible
        if speech is not None and speech.paused:
            self._call.due_in(Deadline.RESUME, self._call.policy.resume_seconds)

    def words(self, event: ev.CallerWords) -> None:
        """Words stop the voice, unless they are an acknowledgement or the agent's own echo."""
        text = event.text.strip()
        if not text:
            return
        speech = self._call.floor.audible
        if speech is not None:
            reason = self._reason_to_ignore(speech, text)
            if reason == "acknowledgement" and speech.paused:
                speech.acknowledged = True
                self._call.due_in(Deadline.RESUME, self._call.policy.resume_seconds)
            if reason is not None:
                return
        elif self._call.floor.owed and is_acknowledgement(text, self._call.language):
            return
        self._take_the_floor()
        self._listen_to(text)

    def turn_ended_eagerly(self, event: ev.CallerTurnEndedEagerly) -> None:
        """Start the answer on suspicion; nothing of it is heard yet."""
        text, floor = event.text.strip(), self._call.floor
        if not text or floor.audible or floor.owed:
            return
        caller = self._listen_to(text)
        if floor.reply is not None and floor.reply.text == text:
            return
        self._drop_speculation()
        self._call.start_reply(caller.number, text, speculative=True)

    def turn_resumed(self, event: ev.CallerTurnResumed) -> None:
        """The suspicion was wrong."""
        text, floor = event.text.strip(), self._call.floor
        self._drop_speculation()
        if text and not floor.audible and not floor.owed:
            self._listen_to(text)

    def turn_ended(self, event: ev.CallerTurnEnded) -> None:
        """A turn that was meant for the agent is owed an answer."""
        text, call = event.text.strip(), self._call
        reason = self._reason_to_ignore_turn(text)
        if reason is not None:
            self._ignore(reason)
        elif not text or (event.confidence is not None and event.confidence < call.policy.min_confidence):
            self._not_understood()
        else:
            if event.language in call.policy.lines and len(text.split()) > 1:
                call.language = event.language or call.language
            self._take_turn(text, "speech", event.last_voiced_t, event.language, event.confidence)

    def dtmf(self, event: ev.CallerDtmf) -> None:
        """Keys interrupt like words; a pause or the hash key ends the entry."""
        speech = self._call.floor.audible
        if speech is not None and not speech.interruptible:
            return
        self._take_the_floor()
        self._call.deadlines.clear(Deadline.IDLE)
        if event.digit != "#":
            self._digits += event.digit
        self._call.due_in(Deadline.DIGITS, 0 if event.digit == "#" else self._call.policy.digits_seconds)

    def words_stand_still(self) -> None:
        """No end of the turn was told: take the words as they are."""
        caller = self._call.caller
        if caller is not None:
            self._take_turn(caller.text, "timeout", self._call.last_voiced_t, None, None)

    def digits_are_complete(self) -> None:
        """Take the keys as a turn."""
        digits, self._digits = self._digits, ""
        if digits:
            self._take_turn(f"[keypad] {digits}", "keypad", self._call.now, None, None)
        else:
            self._call.go_on()

    def _reason_to_ignore(self, speech: Speech, text: str) -> str | None:
        """Why words over the agent's voice do not stop it; None when they do."""
        if not speech.interruptible:
            return "not_interruptible"
        if is_stop_word(text):
            return None
        if is_echo(text, speech.said):
            return "echo"
        acknowledges = is_acknowledgement(text, self._call.language) and not speech.expects_answer
        return "acknowledgement" if acknowledges else None

    def _reason_to_ignore_turn(self, text: str) -> str | None:
        call = self._call
        speech, line = call.floor.audible, call.floor.line
        if speech is not None:
            return self._reason_to_ignore(speech, text) if text else "unintelligible"
        if call.floor.owed:
            return "acknowledgement" if not text or is_acknowledgement(text, call.language) else None
        if line is not None and line.kind is SpeechKind.GREETING and len(text.split()) <= _SHORT_HELLO_WORDS:
            return "not_interruptible"
        expected = call.caller is not None or call.sound_since_t > call.agent_ended_t
        return None if text or expected else "unintelligible"

    def _ignore(self, reason: str) -> None:
        call = self._call
        call.commands.append(Record(ev.CallerIgnored(reason)))
        self._drop_speculation()
        call.close_caller_turn()
        speech = call.floor.audible
        if speech is not None and speech.paused and not call.sound:
            call.resume(speech)
        elif not call.floor.owed:
            call.go_on()

    def _take_the_floor(self) -> None:
        """What the agent says or prepares is over, but for a greeting that has not begun, and for suspicions."""
        for speech in self._call.floor.live:
            waits = not speech.started and speech.kind is SpeechKind.GREETING
            if not waits and not speech.speculative:
                self._call.stop(speech)
        self._call.enter(ConversationState.LISTENING)

    def _listen_to(self, text: str) -> CallerTurn:
        call = self._call
        if call.caller is None:
            call.turn += 1
            recent = call.now - call.sound_since_t <= call.policy.turn_end_seconds
            call.caller = CallerTurn(call.turn, call.sound_since_t if recent else call.now)
        call.caller.text = text
        call.silences = 0
        call.deadlines.clear(Deadline.IDLE)
        call.due_in(Deadline.TURN, call.policy.turn_end_seconds)
        return call.caller

    def _take_turn(
        self, text: str, source: str, ended_t: float | None, language: str | None, confidence: float | None
    ) -> None:
        call = self._call
        caller = self._listen_to(text)
        ended = min(call.now, max(ended_t or 0.0, caller.started_t))
        call.close_caller_turn()
        call.sound = False  # the detector waits longer than the vendor until it calls a pause an end
        self._unclear, call.fillers = 0, 0
        call.history.add(caller.number, "user", text)
        call.commands.append(
            Record(ev.TurnTaken(caller.number, text, source, caller.started_t, ended, language, confidence))
        )
        call.answer(caller.number, text)
        call.deadlines.clear(Deadline.DIGITS)
        late = ended + call.policy.max_response_seconds - call.policy.filler_lead_seconds
        call.deadlines.set(Deadline.FILLER, max(call.now, late))
        call.due_in(Deadline.REPLY, call.policy.reply_seconds)
        call.enter(ConversationState.PROCESSING)

    def _drop_speculation(self) -> None:
        reply = self._call.floor.reply
        if reply is not None and reply.speculative:
            self._call.stop(reply)

    def _not_understood(self) -> None:
        call = self._call
        call.stop_all()
        call.close_caller_turn()
        call.commands.append(Record(ev.CallerIgnored("unintelligible")))
        self._unclear += 1
        call.enter(ConversationState.LISTENING)
        call.say(SpeechKind.PROMPT, call.lines.repeat if self._unclear <= _REPEATS_BEFORE_KEYPAD else call.lines.keypad)
