"""One call on one page, from its journal, for an operator who asks what went wrong."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from app.journal.record import CallRecord, call_record
from app.journal.timeline import Moment, Tone, timeline
from app.models import JournalRow
from app.observability.printable import printable
from app.observability.trace_ids import trace_id
from app.storage.calls import CallRow
from media.recording_report import RecordingReport
from routers.turn_table import turn_lines

_FAULTS = {
    "none": "no failure is to blame",
    "caller": "the caller's side failed",
    "carrier": "the line failed: the carrier, LiveKit, or the other end of the websocket",
    "ours": "this service failed, or was stopped",
    "policy": "one of your rules: a limit, a list, or all places taken",
}
_ABANDONED = {
    "ringing": "the caller hung up before the call was answered",
    "early": "the caller hung up within ten seconds, before any answer",
    "waiting": "the caller hung up while they waited for an answer or a human",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the explanation. May contain the caller's words, and no control characters."""

    text: str
    tone: Tone | Literal["heading", "plain"] = "plain"


@dataclass(frozen=True, slots=True)
class SentWebhook:
    """A webhook that reports the call."""

    webhook_id: str
    event: str
    status: str
    """``pending``, ``delivered`` or ``dead``."""


def explanation(
    call: CallRow,
    rows: Sequence[JournalRow],
    report: RecordingReport | None,
    webhooks: Sequence[SentWebhook] = (),
) -> list[Line]:
    """What the list says of the call, what went wrong, its timeline, its turns, its figures, and the ids of others.

    ``report`` is the state of the recording; None for a call that was not to be recorded. The call may be live.
    """
    return [*_lines(call, rows, report), *(Line(printable(text)) for text in _ids(call, webhooks))]


def _ids(call: CallRow, webhooks: Sequence[SentWebhook]) -> list[str]:
    """By what others know the call; the requests to vendors are among the figures."""
    sent = [f"webhook {each.webhook_id} {each.event}, {each.status}" for each in webhooks]
    return [f"trace {trace_id(call.call_id)}", *sent]


def _lines(call: CallRow, rows: Sequence[JournalRow], report: RecordingReport | None) -> Iterator[Line]:
    record, moments = call_record(rows), timeline(rows)
    yield from (Line(printable(text), "heading") for text in _head(call, record))
    yield from _trouble(moments)
    yield from _unanswered(record)
    yield Line("")
    yield from map(_line, moments)
    yield Line("")
    yield from map(Line, turn_lines([asdict(turn) for turn in record.turns]))
    yield from (Line(printable(text)) for text in (*_figures(record), *_recording(call, report)))


def _head(call: CallRow, record: CallRecord) -> list[str]:
    """What the list of calls says about the call."""
    caller, called = (number or "unknown" for number in (call.caller_number, call.called_number))
    state = f"{call.end_reason} after {call.duration_seconds or 0:.1f} s" if call.end_reason else f"still {call.status}"
    provider = call.fault.removeprefix("provider:")
    fault = _FAULTS.get(call.fault, f"{provider} failed")
    where = {"room": call.livekit_room, "room sid": call.room_sid, "SIP call": call.sip_call_id, "process": call.owner}
    lines = [
        f"{call.call_id}: {call.direction}, from {caller} to {called}, version {call.version}",
        f"began {call.started_at}, answered {call.answered_at or 'never'}, ended {call.ended_at or 'not yet'}",
        ", ".join(f"{name} {value}" for name, value in where.items() if value),
        f"{state}; fault: {call.fault} ({fault})",
    ]
    if call.words_erased_at is not None:
        lines.append(f"the words were erased at {call.words_erased_at}")
    if record.abandoned is not None:
        lines.append(f"abandoned: {_ABANDONED[record.abandoned]}")
    return lines


def _trouble(moments: Sequence[Moment]) -> list[Line]:
    """What went wrong, before the full timeline."""
    wrong = [moment for moment in moments if moment.tone == "wrong"]
    return [Line(f"What went wrong ({len(wrong)}):"), *map(_line, wrong)] if wrong else []


def _unanswered(record: CallRecord) -> list[Line]:
    """The caller's turns that were never answered."""
    return [
        Line(f"  turn {number} was never answered: the caller waited {waited:.1f} s", "wrong")
        for number, waited in record.unanswered.items()
    ]


def _line(moment: Moment) -> Line:
    row = moment.row
    turn = "" if row.turn is None else str(row.turn)
    when = f"{row.at[11:23]} {row.t:8.3f} s"
    return Line(f"  {when} {turn:>3}  {row.type:27} {printable(moment.text)}", moment.tone)


def _recording(call: CallRow, report: RecordingReport | None) -> list[str]:
    """How complete the recording is; nothing for a call that was not to be recorded."""
    if call.recording_erased_at is not None:
        return [f"recording erased at {call.recording_erased_at}"]
    if report is None:
        return []
    gaps = ", ".join(f"{begin:.1f} to {end:.1f} s" for begin, end in report.gaps)
    return [f"recording {report.status}{f': {gaps} missing' if gaps else ''}"]


def _figures(record: CallRecord) -> list[str]:
    """Latencies and costs of the whole call."""
    spread = record.latency().get("total")
    figures = []
    if spread:
        figures.append(
            f"answers   p50 {spread['p50']:.3f} s, p95 {spread['p95']:.3f} s, longest {spread['max']:.3f} s, "
            f"{spread['count']} answers"
        )
    costs = ", ".join(f"{name} {'unknown' if cost is None else f'${cost:.5f}'}" for name, cost in record.costs.items())
    if record.costs["telephony"] is None and record.ended_t is not None:
        costs += " (the carrier's price is not known: set TELEPHONY_USD_PER_MINUTE)"
    requests = " ".join(map(str, record.request_ids)) or "none"
    return [*figures, f"costs     {costs}", f"requests  {requests}"]
