"""``voice-agent explain``: one call on one page, from its journal, for an operator who asks what went wrong."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from app.cli.call_source import call_source, find_call, told
from app.cli.timeline import Moment, Tone, timeline
from app.cli.turn_table import turn_table
from app.errors import StorageError
from app.journal.record import CallRecord, call_record
from app.models import JournalRow
from app.observability.printable import printable
from app.settings import load_settings
from app.storage.call_lists import CallFilter
from app.storage.calls import CallRow
from app.storage.lookup import look_up
from media.recording_report import RecordingReport

_STYLES: dict[Tone, str] = {"caller": "green", "agent": "cyan", "quiet": "dim", "wrong": "bold red"}
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
_WIDTH = 140


def explain_command(call_id: str | None, wanted: CallFilter, address: str | None) -> int:
    """Print the call with this id or beginning of one, or the newest that is wanted.

    ``address`` is that of a service; None reads the database of the settings. Returns the exit status: 1 if there is no
    such call.
    """
    source = call_source(address)
    found = told(lambda: find_call(source, call_id, wanted))
    if found is None:
        return 1
    call, rows = found.call, found.rows
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    record, moments = call_record(rows), timeline(rows)
    trouble = [*_trouble(moments), *_unanswered(record)]
    for line in (*_head(call, record), *trouble, Text(), *map(_line, moments), Text()):
        console.print(line, soft_wrap=True)
    if record.turns:
        console.print(turn_table("Turns", [asdict(turn) for turn in record.turns]))
    for text in (*_figures(record), *_recording(call, found.recording)):
        console.print(Text(printable(text)))
    return 0


_Found = TypeVar("_Found")


def stored_call(call_id: str) -> tuple[CallRow, list[JournalRow]] | None:
    """The call and its rows from the database of the settings. None, with a line on stderr, if there is none."""
    return in_database(look_up, call_id)


def in_database(look: Callable[[str, str], _Found | None], call_id: str) -> _Found | None:
    """What ``look`` finds of the call in the database of the settings. None, with a line on stderr, if nothing."""
    settings = load_settings()
    try:
        found = look(settings.database, call_id)
    except StorageError as error:
        sys.stderr.write(f"{error}\n")
        return None
    if found is None:
        sys.stderr.write(f"There is no call {printable(call_id)} in the database of {settings.data_dir}.\n")
    return found


def _head(call: CallRow, record: CallRecord) -> list[Text]:
    """What the list of calls says about the call."""
    caller, called = (printable(number or "unknown") for number in (call.caller_number, call.called_number))
    state = f"{call.end_reason} after {call.duration_seconds or 0:.1f} s" if call.end_reason else f"still {call.status}"
    provider = call.fault.removeprefix("provider:")
    fault = _FAULTS.get(call.fault, f"{provider} failed")
    where = {"room": call.livekit_room, "room sid": call.room_sid, "SIP call": call.sip_call_id, "process": call.owner}
    lines = [
        f"{call.call_id}: {call.direction}, from {caller} to {called}, version {call.version}",
        f"began {call.started_at}, answered {call.answered_at or 'never'}, ended {call.ended_at or 'not yet'}",
        ", ".join(f"{name} {printable(value)}" for name, value in where.items() if value),
        f"{state}; fault: {call.fault} ({fault})",
    ]
    if call.words_erased_at is not None:
        lines.append(f"the words were erased at {call.words_erased_at}")
    if record.abandoned is not None:
        lines.append(f"abandoned: {_ABANDONED[record.abandoned]}")
    return [Text(printable(line), style="bold") for line in lines]


def _trouble(moments: Sequence[Moment]) -> list[Text]:
    """What went wrong, before the full timeline."""
    wrong = [moment for moment in moments if moment.tone == "wrong"]
    return [Text(f"What went wrong ({len(wrong)}):"), *map(_line, wrong)] if wrong else []


def _unanswered(record: CallRecord) -> list[Text]:
    """The caller's turns that were never answered."""
    return [
        Text(f"  turn {number} was never answered: the caller waited {waited:.1f} s", style=_STYLES["wrong"])
        for number, waited in record.unanswered.items()
    ]


def _line(moment: Moment) -> Text:
    row = moment.row
    turn = "" if row.turn is None else str(row.turn)
    when = f"{row.at[11:23]} {row.t:8.3f} s"
    return Text(f"  {when} {turn:>3}  {row.type:27} {printable(moment.text)}", style=_STYLES[moment.tone])


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
