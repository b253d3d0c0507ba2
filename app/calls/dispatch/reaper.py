"""Ends the calls that no core can end: their process died, or they were never taken."""

from app.clock import iso_after
from app.conversation import events as ev
from app.journal.record import call_record
from app.models import JournalRow
from app.ports.services import CallEnding, Journal
from app.storage.calls import CallRow


def end_crashed(call: CallRow, rows: list[JournalRow], journal: Journal) -> None:
    """Write the terminal row of a call that was taken over; it ended when its last fact was written."""
    end_without_core(call, rows, journal, ev.CallEnded("crashed", "ours"))


def end_without_core(call: CallRow, rows: list[JournalRow], journal: Journal, ended: ev.CallEnded) -> None:
    """Write the terminal row with the time of the row before it, or of the call's beginning."""
    seq, t = (rows[-1].seq + 1, rows[-1].t) if rows else (1, 0.0)
    at = iso_after(call.created_at, t)
    row = JournalRow(seq, at, t, ended.type, None, ev.VERSION, ev.row_data(ended))
    record = call_record([*rows, row])
    ending = CallEnding(
        ended_at=at,
        duration_seconds=record.duration_seconds,
        end_reason=ended.reason,
        fault=ended.fault,
        language=record.language,
        summary=record.summary(),
    )
    journal.append(call.call_id, call.fence, row, ending)
