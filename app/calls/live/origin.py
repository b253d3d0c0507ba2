"""How a call comes to this process: it begins here, or the process that carried it has died.

======================  ===================================  =========================================================
                        :class:`NewCall`                     :class:`InheritedCall`
======================  ===================================  =========================================================
clock                   starts now                           goes on, with the time in which nobody had the call
core                    knows nothing                        rebuilt from the journal
first event             ``call.created``                     none; a call that rang: ``call.taken_over``
when the leg has the    ``call.answered``                    ``call.taken_over``, and what was heard of each
caller                                                       utterance that the dead process could not report
before that             the core waits for the answer        a call that was answered handles nothing: the leg joins
                                                             within a second or so, or the caller is gone
======================  ===================================  =========================================================
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from app.calls.agent.plan import CallPlan
from app.calls.live.call_clock import CallClock
from app.clock import parse_iso
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.journal.revival import Revival
from app.models import CallContext, JournalRow

_MARGIN_SECONDS = 0.001
"""How much later than the last row the heir's first row is at least."""


class Origin(Protocol):
    """What differs between a call that begins and one that goes on."""

    clock: CallClock
    core: ConversationCore
    rows: Sequence[JournalRow]
    """The journal so far."""
    undecided: Sequence[ev.Event]
    """Decisions of the core that have no rows yet."""
    first: Sequence[ev.Event]
    """What happens before everything else."""
    waits: bool
    """Whether nothing is handled until the leg has the caller."""
    is_recorded: bool
    """Whether the call is recorded from its beginning, or the caller has agreed to that before."""
    question: dict[str, float]
    """The stamps of the turn that is being answered: its last voiced sample and its end, in call seconds."""

    def on_caller(self) -> Sequence[ev.Event]:
        """The leg has the caller."""


class NewCall:
    """A call that begins."""

    def __init__(self, plan: CallPlan, call: CallContext) -> None:
        self.clock = CallClock(call.start_time)
        self.core = ConversationCore(plan.policy, plan.language)
        self.rows: Sequence[JournalRow] = ()
        self.undecided: Sequence[ev.Event] = ()
        self.first: Sequence[ev.Event] = (plan.created(),)
        self.waits = False
        self.is_recorded = not plan.policy.asks_consent
        self.question: dict[str, float] = {}

    def on_caller(self) -> Sequence[ev.Event]:
        """The call is answered."""
        return (ev.CallAnswered(self.clock.answer()),)


class InheritedCall:
    """A call whose process has died. Create it when its caller is about to be found."""

    def __init__(self, revival: Revival, *, now: datetime, alive_seconds_ago: float | None, owner: str) -> None:
        """``alive_seconds_ago``: since when the dead process is not known to have lived; None if nobody knows."""
        self._owner = owner
        self._answered_t = revival.answered_t
        self.rows: Sequence[JournalRow] = revival.rows
        elapsed = max(revival.t + _MARGIN_SECONDS, (now - created_at(revival.rows)).total_seconds())
        self.clock = CallClock.resumed(
            created_at(revival.rows), elapsed=elapsed, last=revival.t, answered=self._answered_t
        )
        lived_until = revival.t if alive_seconds_ago is None else elapsed - alive_seconds_ago
        self._since_t = round(max(revival.t, lived_until), 6)
        self.core = revival.core
        self.undecided: Sequence[ev.Event] = revival.undecided
        self.waits = self._answered_t is not None
        self.first: Sequence[ev.Event] = () if self.waits else (self._taken_over(),)
        self.is_recorded = revival.has_consent or not self.core.policy.asks_consent
        self.question = _question(revival.rows) if self.core.owes_answer else {}

    def on_caller(self) -> Sequence[ev.Event]:
        """The caller is found. What was heard of the agent follows the row that says why it broke off."""
        if not self.waits:
            return (ev.CallAnswered(self.clock.answer()),)
        return (self._taken_over(), *self.core.cut_off(self._since_t))

    def _taken_over(self) -> ev.CallTakenOver:
        gap = round(max(0.0, self.clock.call_seconds() - self._since_t), 3)
        return ev.CallTakenOver(self._since_t, gap, self._owner)


def created_at(rows: Sequence[JournalRow]) -> datetime:
    """When the call was created, by its first row."""
    return parse_iso(rows[0].at) - timedelta(seconds=rows[0].t)


def _question(rows: Sequence[JournalRow]) -> dict[str, float]:
    taken = next((row for row in reversed(rows) if row.type == ev.TurnTaken.type), None)
    return {} if taken is None else {"last_voiced": float(taken.data["ended_t"]), "turn_ended": taken.t}
