"""The leg is away from the caller: the voice stops where the caller stopped hearing it, and deadlines wait.

::

    leg.lost ──► the voice is paused; what is due of speech and silence waits ──► leg.rejoined ──► the voice goes on
                                                                             └──► caller.left
"""

from app.conversation import events as ev
from app.conversation.commands import PauseUtterance
from app.conversation.deadlines import Deadline
from app.conversation.state import CallState

_AWAY_SECONDS_MAX = 35.0
"""The leg gives the room up before."""
_LOOK_AGAIN_SECONDS = 1.0
_WAITS = frozenset(
    {
        Deadline.IDLE, Deadline.FILLER, Deadline.REPLY, Deadline.START, Deadline.STALL, Deadline.RESUME,
        Deadline.MESSAGE, Deadline.STT_OUTAGE,
    }
)  # fmt: skip
"""What is due of somebody whom the other side cannot hear now."""


def leg_lost(call: CallState, _event: ev.LegLost) -> None:
    """Pause the voice, even one that nothing interrupts."""
    call.away_until_t = call.now + _AWAY_SECONDS_MAX
    utterance = call.floor.audible
    if utterance is not None and not utterance.paused:
        utterance.paused, utterance.paused_t, utterance.backchanneled = True, call.now, True
        call.commands.append(PauseUtterance(utterance.number))
        call.due_in(Deadline.RESUME, _LOOK_AGAIN_SECONDS)


def leg_rejoined(call: CallState, _event: ev.LegRejoined) -> None:
    """Go on where the caller stopped hearing the voice. A silence begins anew."""
    call.away_until_t = 0.0
    utterance = call.floor.audible
    if utterance is not None and utterance.paused:
        utterance.backchanneled = True
        call.due_in(Deadline.RESUME, call.policy.resume_seconds)
    if Deadline.IDLE in call.deadlines:
        call.due_in(Deadline.IDLE, call.policy.idle_prompt_seconds)


def waits(call: CallState, name: Deadline) -> bool:
    """Whether a deadline that has come must wait for the leg. If so, it is set anew."""
    if name not in _WAITS or call.now >= call.away_until_t:
        return False
    call.due_in(name, _LOOK_AGAIN_SECONDS)
    return True
