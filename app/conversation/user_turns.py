"""How the core reacts to the caller: sound pauses the voice, words stop it, a finished turn gets an answer."""

from dataclasses import replace

from app.conversation import events as ev
from app.conversation.bridging import await_answer, reassure
from app.conversation.commands import Record
from app.conversation.completeness import Completeness
from app.conversation.deadlines import Deadline
from app.conversation.endpointing import Endpointing
from app.conversation.goodbyes import turn_closes
from app.conversation.interjections import go_on, interject
from app.conversation.interruptions import InterruptionRules
from app.conversation.keypad import carry_out, hold_off_the_end, meaning_of
from app.conversation.opening import awaits_consent, take_consent
from app.conversation.phases import CallPhase
from app.conversation.policy import KeyMeaning
from app.conversation.progress import Progress
from app.conversation.state import CallState
from app.conversation.stt_outage import SPEECH_SECONDS, fell_silent
from app.conversation.tools import run_wanted_tools
from app.conversation.turns import CallerTurn, UtteranceKind
from app.conversation.unserved import add_sound, add_turn, hash_pressed
from app.models import ConversationState

_REPEATS_BEFORE_KEYPAD = 2
_UNCLEAR_TURNS_MAX = 4
"""In a row. After so many requests to repeat or to use the keypad, the agent gives up."""
_LISTENING = ("acknowledgement", "not_interruptible", "faint")
"""The reasons to pass over words that somebody did say over the agent's voice."""
_SOUND_BRINGS_WORDS_SECONDS = 2.0
"""How long a sound after a pause may go on without words before it counts as noise."""
_LOOK_AGAIN_SECONDS = 0.2
_NOT_OVER_YET_SECONDS = 1.0
"""How often to look again at a turn that cannot be over yet."""
_PREPARED_WITHIN_SECONDS = 0.4
"""A prepared answer gets this much time to begin before the agent says a line instead."""
_ANSWERED_WITHIN_SECONDS = 3.0
"""An answer gets this much time at least, however late its turn was recognised."""
_DIGITS_MAX = 64
"""The most keys of one entry; further ones are dropped."""


class UserTurns:
    """Handles the caller's events."""

    def __init__(self, state_of_call: CallState, endpointing: Endpointing) -> None:
        self._call = state_of_call
        self._endpointing = endpointing
        self._digits = ""
        self._first_key_t = 0.0
        self._unclear = 0
        self._rules = InterruptionRules(state_of_call)

    def begin_anew(self) -> None:
        """A new recogniser listens: it will report nothing of what was said before."""
        self._rules.turn_is_over()

    def sound_started(self, event: ev.CallerSoundStarted) -> None:
        """Pause the voice at once."""
        self._call.sound, self._call.sound_since_t = True, event.since_t
        self._endpointing.watch_pause()
        utterance = self._call.floor.audible
        if utterance is not None:
            self._call.hold_back(utterance)

    def sound_stopped(self, event: ev.CallerSoundStopped) -> None:
        """Wait a moment for words, then go on."""
        call = self._call
        if call.sound and event.last_voiced_t - call.sound_since_t >= SPEECH_SECONDS:
            call.unheard_sounds += 1
        call.sound, call.last_voiced_t = False, event.last_voiced_t
        add_sound(call)
        fell_silent(call)
        self._endpointing.watch_pause()
        utterance = self._call.floor.audible
        if utterance is not None and utterance.paused:
            self._resume_soon()

    def words(self, event: ev.CallerWords) -> None:
        """Words stop the voice, unless they are a backchannel or an echo of the agent's own."""
        text = self._words_of_turn(event.text)
        if not text or self._rules.nothing_new(text, faint=event.faint):
            return
        utterance = self._call.floor.audible
        if utterance is not None:
            reason = self._rules.over_voice(utterance, text, faint=event.faint, so_far=True)
            if reason in _LISTENING and utterance.paused:
                utterance.backchanneled = True
                self._resume_soon()
            if reason is not None:
                return
        elif self._is_kept_from_speaking() or (
            self._call.floor.reply_pending and self._rules.before_answer(text, so_far=True)
        ):
            return
        self._take_the_floor()
        caller = self._listen_to(self._own_words(event.text))
        caller.confidence, caller.language = event.confidence, event.language or caller.language
        self._endpointing.watch_pause()

    def turn_ended_eagerly(self, event: ev.CallerTurnEndedEagerly) -> None:
        """Start the answer preemptively; its sound is held back until the turn has ended."""
        text, floor = self._words_of_turn(event.text), self._call.floor
        if (
            not self._call.policy.speaks
            or not text
            or floor.audible
            or floor.reply_pending
            or self._is_kept_from_speaking()
            or self._rules.nothing_new(text, faint=event.faint)
        ):
            return
        text = self._own_words(event.text)
        self._follow_language(text, event.language)
        caller = self._listen_to(text)
        caller.confidence, caller.language = event.confidence, event.language or caller.language
        self._endpointing.watch_pause()
        if self._endpointing.completeness(text) is Completeness.UNFINISHED:
            self._drop_preemptive_reply()
        else:
            self._prepare_reply(text)

    def turn_resumed(self, event: ev.CallerTurnResumed) -> None:
        """The turn goes on after all: drop the preemptive reply."""
        text, floor = self._own_words(event.text), self._call.floor
        self._drop_preemptive_reply()
        if self._rules.nothing_new(self._words_of_turn(event.text), faint=False):
            return
        if text and not floor.audible and not floor.reply_pending:
            self._listen_to(text)
            self._endpointing.watch_pause()

    def turn_ended(self, event: ev.CallerTurnEnded) -> None:
        """Answer a turn that was meant for the agent. If its words stop in the middle, wait for more."""
        call = self._call
        if call.caller is not None and call.caller.ended is not None and not event.text.strip():
            return
        text = self._words_of_turn(event.text)
        reason = self._reason_to_ignore_turn(text, faint=event.faint)
        text = self._own_words(event.text) if reason is None else text
        is_early = (
            reason == "not_interruptible"
            and self._is_understood(event)
            and self._rules.is_early(text, faint=event.faint)
        )
        text = self._own_words(event.text) if is_early else text
        self._rules.turn_is_over()
        if is_early:
            self._keep_for_later(text, event)
        elif reason is not None:
            self._ignore(reason)
            reassure(call, text)
        elif not text or not self._is_understood(event):
            self._not_understood()
        elif (seconds := self._endpointing.missing_silence(text, event.last_voiced_t)) > 0 and call.policy.speaks:
            self._wait_for_more(replace(event, text=text), seconds)
        else:
            self._follow_language(text, event.language)
            self._take_turn(text, "speech", event.last_voiced_t, event.language, event.confidence)

    def dtmf(self, event: ev.CallerDtmf) -> None:
        """Keys interrupt like words. A pause, the hash key or a full entry ends it.

        A hash key that ends no entry says nothing, so an answer that is being made goes on.
        """
        if event.digit == "#" and not self._digits and self._call.floor.reply_pending:
            return
        if self._is_kept_from_speaking():
            self._call.commands.append(Record(ev.CallerIgnored("not_interruptible")))
            return
        self._take_the_floor()
        self._call.deadlines.clear(Deadline.IDLE)
        if not self._digits:
            self._first_key_t = self._call.now
        if event.digit != "#" and len(self._digits) < _DIGITS_MAX:
            self._digits += event.digit
        is_over = event.digit == "#" or len(self._digits) == _DIGITS_MAX
        if self._call.stt_outage_notice == "given":
            is_over = is_over or meaning_of(self._call, self._digits) is not None
            hold_off_the_end(self._call)
        self._call.due_in(Deadline.DIGITS, 0 if is_over else self._call.policy.digits_seconds)

    def typed(self, event: ev.CallerTyped) -> None:
        """A text that the caller types interrupts like keys, and is a turn at once."""
        if self._is_kept_from_speaking():
            self._call.commands.append(Record(ev.CallerIgnored("not_interruptible")))
            return
        self._take_the_floor()
        self._record_words_so_far()
        self._take_turn(event.text, "typed", self._call.now, None, None)

    def held(self, _event: ev.CallerHeld) -> None:
        """The caller is on hold and hears no prompts."""
        self._call.held = True

    def returned(self, _event: ev.CallerReturned) -> None:
        """Audio comes again: from now on, silence is the caller's silence."""
        self._call.held = False
        if Deadline.IDLE in self._call.deadlines:
            self._call.due_in(Deadline.IDLE, self._call.policy.idle_prompt_seconds)

    def pause_is_over(self) -> None:
        """The caller has been silent for long enough: take the turn. A sound that has just begun may bring words.

        While speech to text is gone, or while keys are being pressed, the turn is not over.
        """
        call, caller = self._call, self._call.caller
        if caller is None:
            return
        if self._words_may_follow or Deadline.DIGITS in call.deadlines:
            call.due_in(Deadline.PAUSE, _NOT_OVER_YET_SECONDS)
        elif call.sound and call.now - call.sound_since_t < _SOUND_BRINGS_WORDS_SECONDS:
            call.due_in(Deadline.PAUSE, _LOOK_AGAIN_SECONDS)
        elif caller.ended is not None:
            ended = caller.ended
            self._take_turn(ended.text, "speech", ended.last_voiced_t, ended.language, ended.confidence)
        else:
            self._rules.note_overtaken(caller.reported)
            self._take_turn(caller.text, "speech", call.last_voiced_t, caller.language, caller.confidence)

    def transcript_timeout(self) -> None:
        """No end of turn has come: take the words as they are. While speech to text is gone, keep waiting."""
        caller = self._call.caller
        if caller is not None and self._words_may_follow and self._call.policy.speaks:
            self._call.due_in(Deadline.TURN, self._call.policy.turn_end_seconds)
        elif caller is not None:
            self._rules.note_overtaken(caller.reported)
            self._take_turn(caller.text, "timeout", self._call.last_voiced_t, caller.language, None)

    def digits_are_complete(self) -> None:
        """Take the keys as a turn. The words before them are a turn, too, and one answer is for both.

        Speech to text may still report the end of these words. Then only what follows them is new.
        """
        digits, self._digits = self._digits, ""
        call, caller = self._call, self._call.caller
        if call.phase is CallPhase.TRANSFERRING:
            return
        if digits:
            self._record_words_so_far()
            text = f"[keypad] {digits}"
            self._listen_to(text, since_t=self._first_key_t)
            self._take_keys(text, digits)
        elif call.message is not None and caller is not None:
            self._take_turn(caller.text, "timeout", call.last_voiced_t, None, caller.confidence)
            hash_pressed(call)
        elif hash_pressed(call):
            return
        elif caller is None:
            go_on(call)
        else:
            call.go_on()

    def _record_words_so_far(self) -> None:
        """What was spoken before keys or a typed text is a turn of its own."""
        call, caller = self._call, self._call.caller
        if caller is not None and caller.text:
            if caller.ended is None:
                self._rules.note_overtaken(caller.reported)
            self._record_turn(caller.text, "speech", call.last_voiced_t, None, caller.confidence)

    @property
    def _confidence_needed(self) -> float:
        """A message is kept as it was heard: nobody can ask for it again."""
        return 0.0 if self._call.message is not None else self._call.policy.min_confidence

    @property
    def _words_may_follow(self) -> bool:
        """Whether speech to text is gone and may report the rest later. A message is transcribed as a whole then."""
        return self._call.stt_is_gone and self._call.message is None

    def _take_keys(self, text: str, digits: str) -> None:
        """A key of the menu is carried out; all else is for the model."""
        key = meaning_of(self._call, digits) if self._call.policy.speaks else None
        if key is None:
            self._take_turn(text, "keypad", self._call.now, None, None)
            return
        number = self._record_turn(text, "keypad", self._call.now, None, None)
        if not carry_out(self._call, number, key):
            self._answer(number, text, self._call.taken_until_t, key)

    def _is_understood(self, event: ev.CallerTurnEnded) -> bool:
        return event.confidence is None or event.confidence >= self._confidence_needed

    def _keep_for_later(self, text: str, event: ev.CallerTurnEnded) -> None:
        """The caller has asked for something during the disclosure, which goes on."""
        call = self._call
        self._follow_language(text, event.language)
        self._record_turn(text, "speech", event.last_voiced_t, event.language, event.confidence)
        call.early_words = f"{call.early_words} {text}".strip()

    def _own_words(self, text: str) -> str:
        """The words of the turn without an echo, or somebody else's words, at its beginning."""
        return self._words_of_turn(self._rules.own_words(text.strip()))

    def _words_of_turn(self, reported: str) -> str:
        """All words of the turn, including those before a pause in its middle."""
        text, caller = reported.strip(), self._call.caller
        if caller is None or not text:
            return text
        if caller.ended is not None:
            caller.before, caller.ended = caller.ended.text, None
            self._call.deadlines.clear(Deadline.PAUSE)
            self._call.due_in(Deadline.TURN, self._call.policy.turn_end_seconds)
            self._drop_preemptive_reply()
        return caller.whole(text)

    def _wait_for_more(self, ended: ev.CallerTurnEnded, seconds: float) -> None:
        """Speech to text has ended the turn; the caller has probably not. Prepare the answer meanwhile."""
        self._take_the_floor()
        self._follow_language(ended.text, ended.language)
        self._listen_to(ended.text).ended = ended
        self._call.deadlines.clear(Deadline.TURN)
        self._call.due_in(Deadline.PAUSE, seconds)
        self._prepare_reply(ended.text)

    def _prepare_reply(self, text: str) -> None:
        """Start a preemptive reply to the open turn, unless there is one to the same words. A message gets none."""
        call, reply = self._call, self._call.floor.reply
        is_ready = reply is not None and (reply.text, reply.language) == (text, call.language)
        if call.caller is None or call.message is not None or is_ready or awaits_consent(call):
            return
        if reply is not None and reply.preemptive:
            call.stop(reply)
        call.start_reply(call.caller.number, text, preemptive=True)

    def _reason_to_ignore_turn(self, text: str, *, faint: bool) -> str | None:
        call = self._call
        utterance, line = call.floor.audible, call.floor.line
        if text and (reason := self._rules.nothing_new(text, faint=faint)):
            return reason
        if utterance is not None:
            return self._rules.over_voice(utterance, text, faint=faint) if text else "unintelligible"
        if reason := self._rules.before_answer(text):
            return reason
        expected = call.caller is not None or (call.sound_since_t > call.agent_ended_t and line is None)
        return None if text or call.floor.reply_pending or (expected and not self._digits) else "unintelligible"

    def _is_kept_from_speaking(self) -> bool:
        """Whether the agent says something that nothing may cut."""
        line = self._call.floor.line
        return line is not None and not line.interruptible

    def _resume_soon(self) -> None:
        """The caller's sound seems to mean nothing: let the voice go on a moment after it has ended."""
        call = self._call
        silent_since = call.now if call.sound else call.last_voiced_t
        call.deadlines.set(Deadline.RESUME, max(call.now, silent_since + call.policy.resume_seconds))

    def _follow_language(self, text: str, language: str | None) -> None:
        """Switch the language; one word is not enough."""
        if language is not None and language in self._call.policy.lines and len(text.split()) > 1:
            self._call.language = language

    def _ignore(self, reason: str) -> None:
        call = self._call
        call.commands.append(Record(ev.CallerIgnored(reason)))
        self._drop_preemptive_reply()
        call.close_caller_turn()
        utterance = call.floor.audible
        if utterance is not None and utterance.paused and not call.sound:
            utterance.backchanneled |= reason in (*_LISTENING, "repeated")
            call.resume(utterance)
        else:
            go_on(call)

    def _take_the_floor(self) -> None:
        """Stop what the agent says or prepares, except a greeting that has not begun and a preemptive reply."""
        for utterance in self._call.floor.live:
            waits = not utterance.started and utterance.kind is UtteranceKind.GREETING
            if utterance.started and utterance.kind is UtteranceKind.REPLY and not utterance.broken:
                self._call.failures = self._call.unsaid = 0
            if utterance.kind is UtteranceKind.SAY and not utterance.started:
                self._call.say_requests.insert(0, utterance.text)
            if not waits and not utterance.preemptive:
                self._call.stop(utterance)
        self._call.enter(ConversationState.LISTENING)

    def _listen_to(self, text: str, since_t: float | None = None) -> CallerTurn:
        call = self._call
        if call.caller is None:
            call.turn += 1
            if since_t is None:
                recent = call.now - call.sound_since_t <= call.policy.turn_end_seconds
                since_t = call.sound_since_t if recent else call.now
            call.caller = CallerTurn(call.turn, max(since_t, self._call.taken_until_t))
        call.caller.text = text
        call.silences = call.unheard_sounds = 0
        call.deadlines.clear(Deadline.IDLE)
        call.due_in(Deadline.TURN, call.policy.turn_end_seconds)
        return call.caller

    def _take_turn(
        self, text: str, source: str, ended_t: float | None, language: str | None, confidence: float | None
    ) -> None:
        call, number = self._call, self._record_turn(text, source, ended_t, language, confidence)
        if call.message is not None:
            add_turn(call, text, source)
            return
        if not call.policy.speaks or turn_closes(call, number, text):
            return
        if awaits_consent(call) and take_consent(call, number, text, source):
            return
        progress = call.progress.turn_taken(text, call.last_answer) if source != "keypad" else Progress.GOES_ON
        if progress is Progress.GOES_ON:
            self._answer(number, text, call.taken_until_t)
        else:
            self._stop_answering(number, progress)

    def _record_turn(
        self, text: str, source: str, ended_t: float | None, language: str | None, confidence: float | None
    ) -> int:
        """Close the caller's turn and keep it; returns its number."""
        call = self._call
        caller = self._listen_to(text)
        ended = call.taken_until_t = min(call.now, max(ended_t or 0.0, caller.started_t))
        call.close_caller_turn()
        call.sound = False  # the detector reports the end of sound later than the vendor reports the end of the turn
        self._unclear = 0
        call.history.add(caller.number, "user", text)
        call.commands.append(
            Record(ev.TurnTaken(caller.number, text, source, caller.started_t, ended, language, confidence))
        )
        return caller.number

    def _answer(self, number: int, text: str, ended: float, key: KeyMeaning | None = None) -> None:
        call = self._call
        prepared = call.floor.reply
        call.held_answer, call.early_words = None, ""
        call.answer(number, text, key)
        call.say_unheard_greeting(number)
        if call.bridges_answer and call.floor.line is None:
            call.say(UtteranceKind.RECONNECTED, call.lines.reconnected, turn=number)
        call.bridges_answer = False
        late = ended + call.policy.max_response_seconds - call.policy.filler_lead_seconds
        if prepared is not None and prepared is call.floor.reply:
            late = max(late, call.now + _PREPARED_WITHIN_SECONDS)
        await_answer(call, late)
        given_up = ended + call.policy.reply_seconds - call.policy.filler_lead_seconds
        call.deadlines.set(Deadline.REPLY, max(given_up, call.now + _ANSWERED_WITHIN_SECONDS))
        call.enter(ConversationState.PROCESSING)
        run_wanted_tools(call)
        interject(call)

    def _stop_answering(self, number: int, progress: Progress) -> None:
        """The call gets nowhere: ask what the caller wants, and later say goodbye."""
        call = self._call
        call.stop_all()
        if progress is Progress.IS_OVER:
            call.close("agent_hangup", call.lines.stalled_goodbye)
        else:
            call.last_answer = ""
            call.enter(ConversationState.LISTENING)
            call.say(UtteranceKind.PROMPT, call.lines.stalled, turn=number)

    def _drop_preemptive_reply(self) -> None:
        """An answer that waits for an operator's line is not one: it answers a turn that is over."""
        reply, held = self._call.floor.reply, self._call.held_answer
        if reply is not None and reply.preemptive and (held is None or held.speech != reply.number):
            self._call.stop(reply)

    def _not_understood(self) -> None:
        call = self._call
        if call.message is not None:
            self._ignore("unintelligible")
            return
        turn = call.caller.number if call.caller else None
        call.stop_all()
        call.close_caller_turn()
        call.commands.append(Record(ev.CallerIgnored("unintelligible")))
        self._unclear += 1
        call.enter(ConversationState.LISTENING)
        if self._unclear <= _REPEATS_BEFORE_KEYPAD:
            call.say(UtteranceKind.PROMPT, call.lines.repeat, turn=turn)
        elif self._unclear <= _UNCLEAR_TURNS_MAX:
            call.say(UtteranceKind.PROMPT, call.policy.with_menu(call.lines, call.lines.keypad), turn=turn)
        else:
            call.say(UtteranceKind.GOODBYE, call.lines.silence_goodbye, turn=turn, ends_call="silence")
