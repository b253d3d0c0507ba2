"""The timeline of a call: a line for each row of the journal that matters to a person. No I/O."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from app.conversation.deadlines import Deadline, deadline_named
from app.journal.bridges import BridgeReader
from app.journal.failures import failure_of, failure_text
from app.journal.readable_rows import UNREADABLE, is_readable
from app.journal.tool_records import ToolReader
from app.models import JournalRow

Tone = Literal["caller", "agent", "quiet", "wrong"]
Data = dict[str, Any]
_Line = tuple[Tone, str]


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline."""

    row: JournalRow
    tone: Tone
    """Who speaks, or ``wrong`` for what should not have happened, or ``quiet`` for the rest."""
    text: str
    """May contain the caller's words."""


LATE: dict[str, str] = {
    Deadline.ANSWER: "nobody answered in time",
    Deadline.LIMIT: "the time for the call (MAX_CALL_SECONDS), or for its goodbye, is over",
    Deadline.FILLER: "the answer is late",
    Deadline.REPLY: "the answer did not come, and was abandoned",
    Deadline.START: "a prepared line did not start in time",
    Deadline.STALL: "an utterance did not go on in time",
    Deadline.TRANSFER: "the transfer had no outcome in time",
    Deadline.STT_OUTAGE: "speech recognition has been down for too long",
    Deadline.TURN: "the transcript stopped changing, but no end of turn came",
}
"""Deadlines that pass only if something is wrong."""
USUAL: dict[str, str] = {
    Deadline.IDLE: "nobody has said anything for a while",
    Deadline.DIGITS: "the entry of keys is complete",
    Deadline.PAUSE: "the caller has paused for as long as their words need",
    Deadline.RESUME: "no words have followed the caller's sound",
    Deadline.MESSAGE: "the caller added nothing to their message",
}
OMITTED = {
    "state.changed", "caller.sound_started", "caller.sound_stopped", "caller.words", "caller.turn_ended_eagerly",
    "caller.turn_resumed", "caller.turn_ended", "agent.reply_generated", "agent.clause_started", "provider.used",
}  # fmt: skip
"""Rows that say too little on their own. Other rows show their outcome."""


def timeline(rows: Iterable[JournalRow]) -> list[Moment]:
    """The moments of a journal. Rows of an unknown type are shown as they are."""
    moments, rows = [], list(rows)
    lost = {tool.id for tool in ToolReader().read(filter(is_readable, rows)) if tool.outcome == "unknown"}
    budget, bridges = 0.0, BridgeReader()
    for row in rows:
        if row.type == "call.created":
            with suppress(*UNREADABLE):
                budget = float(row.data["policy"]["max_response_seconds"])
        if row.type not in OMITTED:
            try:
                tone, text = _said(row, budget, lost, bridges)
            except UNREADABLE:
                tone, text = "wrong", f"this row cannot be read: {row.data}"
            moments.append(Moment(row, tone, text))
    return moments


def _said(row: JournalRow, budget: float, lost: set[str], bridges: BridgeReader) -> _Line:
    match row.type:
        case "agent.reply_started":
            return _reply_started(row, budget, bridges)
        case "agent.tool_called":
            bridges.tool_called(row)
            if row.data.get("id") in lost:
                return "wrong", f"{row.data['name']} {row.data['arguments']}: called; outcome unknown"
        case "agent.tool_finished":
            bridges.tool_finished(row)
        case "deadline.passed" if row.data["name"] == Deadline.FILLER and bridges.a_tool_runs:
            return "quiet", "a tool is still at work: a line bridges the wait"
        case "provider.failed":
            return "wrong", failure_text(failure_of(row, row.t))
        case _:
            pass
    return _SAYINGS.get(row.type, _unknown)(row.data)


def _unknown(data: Data) -> _Line:
    return "quiet", str(data)


def _created(data: Data) -> _Line:
    agent = data.get("agent", {})
    models = ", ".join(agent.get("models", {}).values())
    knowledge = agent.get("knowledge") or {}
    files = ", ".join(knowledge.get("files", ()))
    known = f"; knows {files}{' (all in the prompt)' if knowledge.get('in_prompt') else ''}" if files else ""
    return "quiet", f"in {data.get('language')}, agent {agent.get('name')}; {models}{known}"


def _ended(data: Data) -> _Line:
    fault, detail = data.get("fault", "none"), data.get("detail")
    text = f"{data['reason']}, fault: {fault}{f' ({detail})' if detail else ''}"
    return ("quiet" if fault == "none" else "wrong"), text


def _left(data: Data) -> _Line:
    reason, detail = data["reason"], data.get("detail")
    return ("quiet" if reason == "caller_hangup" else "wrong"), f"{reason} ({detail})" if detail else reason


def _reply_started(row: JournalRow, budget: float, bridges: BridgeReader) -> _Line:
    """The total latency of an answer. The table of turns has its stages."""
    kind, stamps = row.data["kind"], row.data.get("stamps", {})
    if kind == "filler":
        bridges.filler_started(row.turn)
    if kind != "reply" or "last_voiced" not in stamps:
        return "agent", f"begins: {kind}"
    seconds = stamps["first_frame"] - stamps["last_voiced"]
    late = budget > 0 and not bridges.is_in_time(row.turn, stamps["last_voiced"], seconds, budget)
    return ("wrong" if late else "agent"), f"begins {seconds:.3f} s after the caller's last sound{' (late)' * late}"


def _tool_finished(data: Data) -> _Line:
    status = "" if data.get("status") is None else f", status {data['status']}"
    outcome = "done" if data["ok"] else "failed"
    return ("quiet" if data["ok"] else "wrong"), f"{data['name']}: {outcome} after {data['seconds']:.3f} s{status}"


def _deadline(data: Data) -> _Line:
    name = deadline_named(data["name"]) or data["name"]
    return ("wrong", LATE[name]) if name in LATE else ("quiet", USUAL.get(name, name))


def _spending(data: Data) -> _Line:
    spent, limit = data["spent_usd"], data["limit_usd"]
    return ("wrong" if spent >= limit else "quiet"), f"the call has cost {spent:.4f} of {limit:g} US dollars"


def _searched(data: Data) -> _Line:
    if data.get("problem"):
        return "wrong", f"the agent's files were not searched: {data['problem']} after {data['seconds']:.3f} s"
    return "quiet", f"in the agent's files: {'; '.join(map(_source, data['passages'])) or 'nothing that fits'}"


def _source(passage: Data) -> str:
    heading = f" ({passage['heading']})" if passage["heading"] else ""
    return f"{passage['file']} line {passage['line']}{heading}"


def _looked_up(data: Data) -> _Line:
    found = "; ".join((*data["found"], *data["problems"])) or "nothing"
    rejected = ", and rejects the call" if data.get("rejected") else ""
    return ("quiet" if data["ok"] else "wrong"), f"the lookup brings {found} after {data['seconds']:.2f} s{rejected}"


_SAYINGS: dict[str, Callable[[Data], _Line]] = {
    "call.created": _created,
    "call.answered": lambda data: ("quiet", "sound flows"),
    "call.ended": _ended,
    "caller.typed": lambda data: ("caller", f"types {data['text']}"),
    "caller.dtmf": lambda data: ("caller", f"presses {data['digit']}"),
    "caller.left": _left,
    "consent.answered": lambda data: (
        "quiet",
        f"{'agreed' if data['agreed'] else 'not agreed'} to be recorded: {data['how']}",
    ),
    "lookup.finished": _looked_up,
    "knowledge.searched": _searched,
    "caller.held": lambda data: ("quiet", f"no sound since {data['since_t']:.1f} s: on hold, or gone"),
    "caller.returned": lambda data: ("quiet", f"sound again after {data['held_seconds']:.1f} s on hold"),
    "call.taken_over": lambda data: (
        "wrong",
        f"its process died: another has the caller after {data['gap_seconds']:.1f} s",
    ),
    "leg.lost": lambda data: ("wrong", f"the room is lost since {data['since_t']:.1f} s: nobody hears the other"),
    "leg.rejoined": lambda data: ("quiet", f"in the room again after {data['away_seconds']:.1f} s"),
    "message.requested": lambda _data: ("wrong", "the call cannot be served: the caller is asked for a message"),
    "message.transcribed": lambda data: ("caller", data["text"]),
    "caller.ignored": lambda data: ("quiet", f"not taken as a turn: {data['reason']}"),
    "turn.taken": lambda data: ("caller", data["text"]),
    "agent.paused": lambda data: ("quiet", "paused by a sound"),
    "agent.resumed": lambda data: ("quiet", "continues"),
    "agent.interrupted": lambda data: ("agent", f"{data['heard']} ✂"),
    "agent.finished": lambda data: ("agent", data["heard"]),
    "agent.tool_called": lambda data: ("quiet", f"{data['name']} {data['arguments']}"),
    "agent.tool_finished": _tool_finished,
    "transfer.started": lambda data: ("quiet", f"to {data['to']}"),
    "transfer.dialled": lambda _data: ("quiet", "a human is being called into the room"),
    "transfer.failed": lambda data: ("wrong", data["reason"]),
    "transfer.completed": lambda data: ("quiet", data["how"]),
    "provider.restored": lambda data: ("quiet", f"{data['provider']} can {data['stage']} again"),
    "spending.reached": _spending,
    "operator.say_requested": lambda data: ("quiet", data["text"]),
    "operator.hangup_requested": lambda data: ("quiet", data["reason"]),
    "operator.transfer_requested": lambda data: ("quiet", f"to {data['to']}"),
    "deadline.passed": _deadline,
}
