"""Runs a journal through the core again: the same events give the same commands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.opening_events import ConsentAnswered
from app.conversation.policy import CallPolicy
from app.journal.readable_rows import is_readable
from app.models import JournalRow
from app.redaction.marks import is_marked

_DECISIONS = (ev.StateChanged, ev.CallerIgnored, ev.TurnTaken, ev.TransferStarted, ev.MessageRequested, ConsentAnswered)
"""Rows that are decisions of the core. They are compared, not handled."""
ENDED_WITHOUT_CORE = ("crashed", "internal_error")
"""End reasons that no core has decided."""

_OLDER = {"operator_first": False}
"""How the core decided before the policy said so."""


def redacted_of(rows: Sequence[JournalRow]) -> tuple[str, ...]:
    """What was redacted in the call, such as ``cards``; empty when its words are as they were said."""
    agent = rows[0].data.get("agent") if rows else None
    named = agent.get("redact") if isinstance(agent, dict) else None
    return tuple(map(str, named)) if isinstance(named, list) else ()


def policy_of(created: ev.CallCreated) -> CallPolicy:
    """The policy of a call with this first row."""
    return CallPolicy.from_dict({**_OLDER, **created.policy})


def core_of(created: ev.CallCreated, policy: CallPolicy | None = None) -> ConversationCore:
    """The core of a call with this first row, with its policy or another one."""
    return ConversationCore(policy or policy_of(created), created.language)


def created_of(rows: Sequence[JournalRow]) -> ev.CallCreated:
    """The first row. Raises ValueError when it is not ``call.created``."""
    event = ev.from_row(rows[0]) if rows and is_readable(rows[0]) else None
    if not isinstance(event, ev.CallCreated):
        raise ValueError("a journal begins with call.created")
    return event


def is_decision(event: ev.Event) -> bool:
    """Whether a row is a decision of the core, which is compared and not handled."""
    return isinstance(event, _DECISIONS)


def events_of(rows: Iterable[JournalRow]) -> list[ev.Event]:
    """The events of the rows that this version can read."""
    return [event for row in rows if is_readable(row) and (event := ev.from_row(row)) is not None]


def replay(rows: Iterable[JournalRow]) -> list[tuple[JournalRow, list[cmd.Command]]]:
    """Each row with the commands it gives. Raises ValueError when the first row is not ``call.created``."""
    core: ConversationCore | None = None
    answers: list[tuple[JournalRow, list[cmd.Command]]] = []
    for row in rows:
        event = ev.from_row(row) if is_readable(row) else None
        if core is None:
            if not isinstance(event, ev.CallCreated):
                raise ValueError("a journal begins with call.created")
            core = core_of(event)
        answers.append((row, core.handle(event, row.t) if event is not None else []))
    return answers


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that today's core decides differently from the one that ran the call."""

    row: JournalRow
    """The row where it shows."""
    then: ev.Event | None
    """What was decided or begun in the call; None for nothing of the kind."""
    now: ev.Event | None
    """What is decided today."""


def differences(rows: Iterable[JournalRow]) -> list[Difference]:
    """The rows at which today's core would have decided differently; empty when all decisions are the same.

    A journal keeps what came of the commands, not the commands: decisions, utterances that began, and the end are
    compared. After the first difference the events no longer fit the core; later differences may just follow from it.
    Raises ValueError when the first row is not ``call.created``.
    """
    comparison = _Comparison()
    for row, commands in replay(rows):
        comparison.compare(row, commands)
    return comparison.finish()


class _Comparison:
    """Goes through the rows once and keeps what was decided today and has not appeared as a row yet.

    It may appear some rows later: what was heard of a stopped utterance comes, and is handled, in between.
    """

    def __init__(self) -> None:
        self._expected: list[tuple[JournalRow, ev.Event]] = []
        self._utterances: set[int] = set()
        self._last_event: JournalRow | None = None
        self._ended = False
        self._found: list[Difference] = []

    def compare(self, row: JournalRow, commands: list[cmd.Command]) -> None:
        event = ev.from_row(row) if is_readable(row) else None
        if isinstance(event, ev.CallEnded):
            self._ended = event.reason not in ENDED_WITHOUT_CORE
        if isinstance(event, _DECISIONS) or (isinstance(event, ev.CallEnded) and self._ended):
            self._decided(row, event)
        elif isinstance(event, ev.AgentReplyStarted) and event.speech not in self._utterances:
            self._found.append(Difference(row, event, None))
        if not isinstance(event, (*_DECISIONS, ev.CallEnded)):
            self._last_event = row
        for command in commands:
            match command:
                case cmd.Record(decision):
                    self._expected.append((row, decision))
                case cmd.EndCall(reason, fault):
                    self._expected.append((row, ev.CallEnded(reason, fault)))
                case cmd.StartReply(utterance=number) | cmd.Say(utterance=number):
                    self._utterances.add(number)
                case _:
                    pass  # leaves no row of its own

    def finish(self) -> list[Difference]:
        """The last decisions of a live call, or of one whose process died, may have no rows."""
        for row, decision in self._expected:
            if self._ended or row is not self._last_event:
                self._found.append(Difference(row, None, decision))
        return sorted(self._found, key=lambda difference: difference.row.seq)

    def _decided(self, row: JournalRow, event: ev.Event) -> None:
        same = next((expected for expected in self._expected if _are_same(expected[1], event)), None)
        if same is None:
            self._found.append(Difference(row, event, None))
        else:
            self._expected.remove(same)


def _are_same(now: ev.Event, then: ev.Event) -> bool:
    """Whether it is the same decision. Nobody can compare words that were redacted."""
    if isinstance(now, ev.TurnTaken) and isinstance(then, ev.TurnTaken) and is_marked(now.text + then.text):
        return replace(now, text=then.text) == then
    return now == then
