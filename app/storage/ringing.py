"""Calls that have been placed and not been answered yet, when nobody is to be called any more."""

from sqlalchemy import Connection, insert, select

from app.storage.schema import call_requests, calls


def hang_up_what_rings(now: str, connection: Connection, number: str | None = None) -> None:
    """Ask for the end of each such call, or of those to one number, as part of a larger transaction.

    The owners take these requests like any other hang-up, and a call without an owner is ended before it is dialled.
    """
    asked = select(call_requests.c.request_id).where(
        call_requests.c.call_id == calls.c.call_id, call_requests.c.kind == "hangup"
    )
    ringing = select(calls.c.call_id).where(calls.c.direction == "outbound", calls.c.status == "ringing")
    if number is not None:
        ringing = ringing.where(calls.c.called_number == number)
    rows = connection.execute(ringing.where(~asked.exists())).scalars()
    if requests := [{"call_id": call_id, "kind": "hangup", "data": {}, "created_at": now} for call_id in rows]:
        connection.execute(insert(call_requests), requests)
