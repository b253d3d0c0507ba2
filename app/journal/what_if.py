"""What another policy would have decided in a call, and when: its journal is run through two cores side by side.

Nothing is made up: both cores are told what really happened. So each difference is what would have come next at that
moment of the call, and only as long as what was said and begun stays the same. Where the other policy would have said
or begun something else, the rest of the call is another call, and is not compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from app.conversation import commands as cmd
from app.conversation import events as ev
from app.conversation.core import ConversationCore
from app.conversation.deadlines import deadline_named
from app.conversation.policy import CallPolicy
from app.journal.readable_rows import is_readable
from app.journal.replay import core_of, created_of, is_decision, policy_of
from app.models import JournalRow

_SAME_SECONDS = 0.002
"""Times of rows are rounded."""
_SPOKEN = (cmd.Say, cmd.SayMeanwhile, cmd.StartReply, cmd.EndCall)


class UnknownSetting(ValueError):
    """A policy has no such setting, or none of that kind; the text says which there are."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment at which the other policy would have decided differently. Times are seconds of the call."""

    t: float
    """When it would have happened; when it did, if it would not have."""
    row: JournalRow
    """What came next in the call."""
    then: str
    """What was decided in the call."""
    now: str
    """What would have been."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """How a call would have differed."""

    moments: tuple[Moment, ...]
    parts_at: float | None = None
    """From when on it would have been another call; None if that does not happen."""


def changed_policy(policy: CallPolicy, settings: Mapping[str, str]) -> CallPolicy:
    """The policy with other numbers and switches, written as text. Raises UnknownSetting."""
    kinds = {name: type(value) for name, value in asdict(CallPolicy()).items() if isinstance(value, int | float)}
    changed: dict[str, Any] = {}
    for name, text in settings.items():
        if name not in kinds:
            raise UnknownSetting(f"policy.{name}: is not known; there are {', '.join(sorted(kinds))}")
        try:
            changed[name] = _value(kinds[name], text)
        except ValueError:
            raise UnknownSetting(f"policy.{name}: {text} is not {_KINDS[kinds[name]]}") from None
    return replace(policy, **changed)


_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def _value(kind: type, text: str) -> Any:
    if kind is bool:
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else int("no")
    number = kind(text)
    if not 0 <= number < float("inf"):
        raise ValueError(text)
    return number


def what_if(rows: Sequence[JournalRow], settings: Mapping[str, str]) -> WhatIf:
    """What these settings of the policy would have changed in a call.

    Raises UnknownSetting, and ValueError when the first row is not ``call.created``.
    """
    created = created_of(rows)
    then = core_of(created)
    now = core_of(created, changed_policy(policy_of(created), settings))
    return _Comparison(rows, then, now, lambda count: _rebuilt(rows[:count], settings)).run()


def _rebuilt(rows: Sequence[JournalRow], settings: Mapping[str, str]) -> ConversationCore:
    """A core with that policy after these rows, to be asked what it would do next."""
    created = created_of(rows)
    core = core_of(created, changed_policy(policy_of(created), settings))
    for row in rows:
        _step(core, row)
    return core


def _step(core: ConversationCore, row: JournalRow) -> list[cmd.Command]:
    event = ev.from_row(row) if is_readable(row) else None
    if event is None or is_decision(event):
        return []
    if isinstance(event, ev.DeadlinePassed):
        core.assume_due(event, row.t)
    return core.handle(event, row.t)


class _Comparison:
    """Runs the rows through both cores."""

    def __init__(self, rows: Sequence[JournalRow], then: ConversationCore, now: ConversationCore, rebuilt: Any) -> None:
        self._rows = rows
        self._then, self._now = then, now
        self._rebuilt = rebuilt
        self._told: set[tuple[str, float]] = set()
        """Deadlines that were told, by name and time."""

    def run(self) -> WhatIf:
        moments: list[Moment] = []
        for index, row in enumerate(self._rows):
            moments += self._earlier(index, row)
            late = self._late(row)
            then, now = _step(self._then, row), _step(self._now, row)
            if late is not None and (did := _described(then)) != _NOTHING:
                moments.append(Moment(row.t, row, f"{row.data['name']}: {did}", late))
            if (told := _different(then, now)) is not None:
                moments.append(Moment(row.t, row, *told))
                if any(isinstance(command, _SPOKEN) for command in (*then, *now)) or _kinds(then) != _kinds(now):
                    return WhatIf(tuple(moments), row.t)
        return WhatIf(tuple(moments))

    def _earlier(self, index: int, row: JournalRow) -> Iterator[Moment]:
        """A deadline that the other policy would have had before this row, and the call later or not at all."""
        at, of_call = self._now.next_deadline(), self._then.next_deadline()
        if at is None or at >= row.t - _SAME_SECONDS or (of_call is not None and of_call <= at + _SAME_SECONDS):
            return
        name = self._now.deadline_passed().name
        if (name, at) in self._told:
            return
        self._told.add((name, at))
        core = self._rebuilt(index)
        does = _described(core.handle(core.deadline_passed(), at))
        if does == _NOTHING:
            return
        is_same = row.type == "deadline.passed" and row.data["name"] == name
        then = f"{row.t - at:.3f} s later" if is_same else f"not before {row.type} at {row.t:.3f} s"
        yield Moment(at, row, then, f"{name}: {does}")

    def _late(self, row: JournalRow) -> str | None:
        """Until when the other policy would still have waited for this deadline of the call; None if it would not."""
        if row.type != "deadline.passed" or (name := deadline_named(row.data["name"])) is None:
            return None
        at = self._now.due_at(name)
        if at is None:
            return "never"
        return f"not before {at:.3f} s" if at > row.t + _SAME_SECONDS else None


_NOTHING = "nothing"


def _kinds(commands: Sequence[cmd.Command]) -> list[type]:
    return [type(command) for command in commands]


def _different(then: Sequence[cmd.Command], now: Sequence[cmd.Command]) -> tuple[str, str] | None:
    return None if list(then) == list(now) else (_described(then), _described(now))


def _described(commands: Sequence[cmd.Command]) -> str:
    """What the commands do, in words; what a person would not notice is left out."""
    told = [_told(command) for command in commands]
    return ", ".join(filter(None, told)) or _NOTHING


def _told(command: cmd.Command) -> str:
    told = _PLAIN.get(type(command), "")
    match command:
        case cmd.Say(kind=kind, text=text):
            told = f"says ({kind}): {text}"
        case cmd.SayMeanwhile(text=text):
            told = f"says meanwhile: {text}"
        case cmd.StartReply(preemptive=True):
            told = "begins an answer early"
        case cmd.Record(ev.TurnTaken(text=text)):
            told = f"takes the turn: {text}"
        case cmd.Record(ev.CallerIgnored(reason=reason)):
            told = f"ignores the caller: {reason}"
        case cmd.Record(ev.StateChanged()):
            told = ""
        case cmd.Record(event):
            told = event.type
        case cmd.EndCall(reason=reason):
            told = f"ends the call: {reason}"
        case _:
            pass
    return told


_PLAIN: Mapping[type, str] = {
    cmd.StartReply: "begins an answer",
    cmd.ReleaseReply: "plays the answer",
    cmd.PauseUtterance: "pauses",
    cmd.ResumeUtterance: "goes on",
    cmd.StopUtterance: "stops speaking",
    cmd.Transfer: "transfers the caller",
    cmd.SendDigits: "presses keys",
    cmd.StartRecording: "records from now on",
    cmd.SetPatience: "waits differently for the end of the turn",
}
