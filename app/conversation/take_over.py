"""The process of a call has died, and another goes on with it.

The heir has run the journal through a core of its own, so it remembers everything that this call was about. Nothing of
the dead process is left: no sound, no answer that was being written, no tool, no stream that heard the caller. So the
core says one bridging line and brings each of them back:

=============================================  =====================================================================
when the process died                          after the bridging line
=============================================  =====================================================================
the agent was speaking, its text is known      the text goes on with the last word that was heard
the agent was speaking, the model was writing  the model goes on with the last word that was heard
an answer was being made                       the answer is made again
the caller had finished, or pressed keys       that is their turn
the caller was speaking                        instead of that line they are asked to say it again
the agent had asked something                  the question is asked again
nothing was going on                           the caller has the floor
a human was being called into the room         no line: the call goes on waiting for them
the caller was being referred to a human       the transfer is announced, and made, again
the agent was saying goodbye for good          no line: the goodbye goes on
=============================================  =====================================================================

A tool that was running has an unknown outcome. The model is told so, and the tool is not run again for this turn.
A disclosure or the question for consent is said from its beginning. A caller who has heard nothing yet hears no
bridging line.
"""

import re

from app.conversation.bridging import await_answer
from app.conversation.commands import AwaitTransfer, KeepMessage, RaiseThreshold
from app.conversation.deadlines import Deadline
from app.conversation.events import AgentInterrupted
from app.conversation.phases import CallPhase
from app.conversation.questions import Asked, last_sentence, what_was_asked
from app.conversation.state import FALSE_INTERRUPTIONS, CallState
from app.conversation.takeover_events import CallTakenOver
from app.conversation.turns import CallerTurn, Utterance, UtteranceKind
from app.conversation.waiting import Wait
from app.models import ConversationState

_LETTERS_PER_SECOND = 13.0
"""Rather too few: a word that is said twice is better than one that is never heard."""
_LEAD_SECONDS = 0.3
"""How long after its row the sound of a clause is heard, at most."""
_WORD = re.compile(r"\S+\s*")
GO_ON = (
    "The line broke off while you were saying this. The caller has heard your words so far and an apology for the "
    "break. Go on with the very next word; do not greet, apologise or begin again."
)
UNKNOWN_OUTCOME = (
    '{"status": "unknown", "message": "The service was interrupted while this ran. It is not known whether it was '
    'done. Tell the caller so honestly, and do not call it again unless they ask you to."}'
)
_WHOLE = (UtteranceKind.DISCLOSURE, UtteranceKind.CONSENT)
"""Lines that count only when they are heard in one piece."""


def cut_off(call: CallState, since_t: float) -> list[AgentInterrupted]:
    """What was heard of each utterance of which the dead process could not report it any more."""
    ends = []
    for utterance in (*call.floor.stopped, call.floor.audible):
        if utterance is not None and utterance.started:
            heard, whole = _heard_of(utterance, since_t), utterance.written or utterance.said
            ends.append(AgentInterrupted(utterance.turn, utterance.number, heard, whole, exact=False))
    return ends


def taken_over(call: CallState, event: CallTakenOver) -> None:
    """Go on where the dead process stopped."""
    if call.phase is CallPhase.RINGING or not call.policy.speaks:
        return
    line, reply, audible = call.floor.line, call.floor.reply, call.floor.audible
    heard = {end.speech: end.heard for end in cut_off(call, event.since_t)}
    is_cut_in = call.sound
    _forget_the_world(call, heard)
    if call.phase is CallPhase.CLOSING:
        _close(call, line or reply, heard)
    elif call.phase is CallPhase.TRANSFERRING and line is None and reply is None:
        _transfer_again(call)
    elif audible is not None and audible.kind not in _BRIDGES:
        _finish(call, audible, heard.get(audible.number, ""))
    elif reply is not None and not reply.preemptive:
        _answer_again(call, reply, line, "" if line is None else heard.get(line.number, ""))
    elif line is not None and line.kind not in _BRIDGES:
        _say_again(call, line, line.text)
    elif Deadline.DIGITS in call.deadlines:
        _await_keys(call)
    elif call.caller is not None:
        _take_what_was_said(call, call.caller, is_cut_in=is_cut_in)
    else:
        _listen(call)


_BRIDGES = (UtteranceKind.FILLER, UtteranceKind.RECONNECTED, UtteranceKind.NOTICE)
"""Lines before an answer; they make sense only with it."""


def say_the_rest(call: CallState) -> bool:
    """After the bridging line: say what it was said for. Returns whether there is anything."""
    rest, call.unfinished = call.unfinished, None
    if rest is not None:
        _say_now(call, rest)
    return rest is not None


def _say_now(call: CallState, rest: Utterance) -> None:
    call.say(
        rest.kind,
        rest.text,
        turn=rest.turn,
        ends_call=rest.ends_call,
        transfers_to=rest.transfers_to,
        interruptible=rest.interruptible,
        is_rest=True,
    )


def _forget_the_world(call: CallState, heard: dict[int, str]) -> None:
    """Drop what died with the process, and have the new one's parts do what the old one's had been told."""
    for number, words in heard.items():
        utterance = call.floor.find(number) or call.floor.take_stopped_utterance(number)
        if utterance is not None and utterance.kind is not UtteranceKind.FILLER:
            call.history.add(utterance.turn, "assistant", words)
    for utterance in call.floor.live:
        call.end_utterance(utterance)
    call.history.break_off_tools(UNKNOWN_OUTCOME)
    call.wait, call.tool_news, call.unfinished = Wait(), None, None
    call.sound, call.held, call.unheard_sounds, call.away_until_t = False, False, 0, 0.0
    call.stt_is_gone = call.stt_failed = False
    if call.message is None:
        call.stt_outage_notice = "none"
    elif call.phase is CallPhase.TALKING:
        call.commands.append(KeepMessage())
    call.deadlines.keep_only(Deadline.LIMIT, Deadline.TRANSFER, Deadline.DIGITS)
    call.commands += [RaiseThreshold()] * (call.false_interruptions // FALSE_INTERRUPTIONS)


def _close(call: CallState, goodbye: Utterance | None, heard: dict[int, str]) -> None:
    """Say the rest of the goodbye. Nothing else belongs here: nobody can answer a bridging line any more."""
    rest = "" if goodbye is None else _rest(goodbye.text, heard.get(goodbye.number, ""))
    if goodbye is None or not rest:
        call.end(call.closing_reason)
    else:
        call.enter(ConversationState.LISTENING)
        _say_now(call, _part(goodbye, rest))


def _transfer_again(call: CallState) -> None:
    """A human who is being called into the room may still come. Whether a referred caller is taken, nobody knows."""
    if call.human_is_dialled:
        call.commands.append(AwaitTransfer())
        call.due_in(Deadline.TRANSFER, call.policy.transfer_seconds)
        return
    call.turn += 1
    again = Utterance(0, call.turn, UtteranceKind.TRANSFER, call.lines.transfer, call.language)
    again.transfers_to = call.transferred_to
    call.deadlines.clear(Deadline.TRANSFER)
    call.enter(ConversationState.LISTENING)
    _bridge(call, again)


def _finish(call: CallState, utterance: Utterance, heard: str) -> None:
    """Finish what the agent was saying."""
    acts = utterance.ends_call or utterance.transfers_to or utterance.digits
    whole = utterance.written if utterance.written is not None else utterance.said if acts else None
    if utterance.kind is not UtteranceKind.REPLY:
        _say_again(call, utterance, utterance.text if utterance.kind in _WHOLE else _rest(utterance.text, heard))
    elif whole is None:
        call.history.add(utterance.turn, "system", GO_ON)
        _start_anew(call, utterance)
        call.say(UtteranceKind.RECONNECTED, call.lines.reconnected, turn=utterance.turn)
    elif rest := _rest(whole, heard):
        call.repeat_reply(utterance, rest)
        _await(call)
        call.say(UtteranceKind.RECONNECTED, call.lines.reconnected, turn=utterance.turn)
    else:
        _act(call, utterance)


def _act(call: CallState, utterance: Utterance) -> None:
    """All of an answer was heard, and what was to follow has not happened yet."""
    call.enter(ConversationState.LISTENING)
    if utterance.digits:
        call.press(utterance.turn, utterance.digits)
    if utterance.transfers_to is not None:
        call.start_transfer(utterance.transfers_to)
    elif utterance.ends_call:
        call.end(utterance.ends_call)
    else:
        _listen(call)


def _answer_again(call: CallState, reply: Utterance, line: Utterance | None, heard: str) -> None:
    """Make the answer again. A notice that comes before it also tells the caller that the call goes on."""
    _start_anew(call, reply)
    notice = _rest(line.text, heard) if line is not None and line.kind is UtteranceKind.NOTICE else ""
    if notice:
        call.say(UtteranceKind.NOTICE, notice, turn=reply.turn)
    elif call.agent_said:
        call.say(UtteranceKind.RECONNECTED, call.lines.reconnected, turn=reply.turn)


def _start_anew(call: CallState, reply: Utterance) -> None:
    was_pressed = reply.key is not None and call.history.has_tool(reply.turn, reply.key.tool)
    call.start_reply(reply.turn, reply.text, preemptive=False, key=None if was_pressed else reply.key)
    _await(call)


def _await(call: CallState) -> None:
    """The caller waits for the answer from now on."""
    call.due_in(Deadline.REPLY, call.policy.reply_seconds)
    await_answer(call, call.now + call.policy.max_response_seconds - call.policy.filler_lead_seconds)
    call.enter(ConversationState.PROCESSING)


def _say_again(call: CallState, line: Utterance, text: str) -> None:
    """Say a fixed line, or the rest of it, after the bridging line."""
    call.enter(ConversationState.LISTENING)
    if not text:
        _act(call, line)
    elif line.started or call.agent_said:
        _bridge(call, _part(line, text))
    else:
        _say_now(call, _part(line, text))


def _await_keys(call: CallState) -> None:
    """The caller was pressing keys, and may press more."""
    call.due_in(Deadline.DIGITS, call.policy.digits_seconds)
    call.enter(ConversationState.LISTENING)
    call.say(UtteranceKind.RECONNECTED, call.lines.reconnected)


def _take_what_was_said(call: CallState, caller: CallerTurn, *, is_cut_in: bool) -> None:
    """The caller's turn is open, and nothing will hear the rest of it. If there is one, they are asked to repeat it."""
    if caller.ended is None and (is_cut_in or not caller.text):
        call.close_caller_turn()
        call.enter(ConversationState.LISTENING)
        call.say(UtteranceKind.RECONNECTED, call.lines.reconnected_repeat, turn=caller.number)
    else:
        call.bridges_answer = True
        call.due_in(Deadline.PAUSE, 0.0)


def _listen(call: CallState) -> None:
    """The caller has the floor. If they were asked something, they are asked again: their answer may be lost."""
    call.enter(ConversationState.LISTENING)
    if not call.agent_said or call.message is not None:
        _bridge(call, None)
        return
    question = last_sentence(call.agent_asked).strip() if what_was_asked(call.agent_asked) is not Asked.NOTHING else ""
    call.turn += 1
    _bridge(call, Utterance(0, call.turn, UtteranceKind.PROMPT, question, call.language) if question else None)


def _bridge(call: CallState, rest: Utterance | None) -> None:
    """Say the bridging line, and after it ``rest``. What nothing may cut makes the line before it so, too."""
    interruptible = rest is None or (rest.interruptible and rest.transfers_to is None)
    call.say(
        UtteranceKind.RECONNECTED,
        call.lines.reconnected,
        turn=None if rest is None else rest.turn,
        interruptible=interruptible,
    )
    call.unfinished = rest


def _heard_of(utterance: Utterance, since_t: float) -> str:
    """The whole words that the caller has surely heard: as reported at a pause, else estimated from the pace."""
    if utterance.heard_at_pause is not None:
        return utterance.heard_at_pause
    *before, last = utterance.clauses or [""]
    seconds = (utterance.paused_t if utterance.paused else since_t) - utterance.clause_t - _LEAD_SECONDS
    heard = ""
    for word in _WORD.findall(last):
        if len(heard) + len(word) > seconds * _LETTERS_PER_SECOND:
            break
        heard += word
    return "".join(before) + heard


def _rest(whole: str, heard: str) -> str:
    """What comes after the words that were heard; empty if no word does."""
    whole, heard = whole.strip(), heard.strip()
    rest = whole[len(heard) :].strip() if whole.startswith(heard) else whole
    return rest if any(map(str.isalnum, rest)) else ""


def _part(line: Utterance, text: str) -> Utterance:
    """An utterance with this part of the line's words, after which happens what was to happen after the line."""
    part = Utterance(0, line.turn, line.kind, text, line.language)
    part.interruptible, part.ends_call, part.transfers_to = line.interruptible, line.ends_call, line.transfers_to
    return part
