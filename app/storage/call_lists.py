"""Lists of calls in pages.

A page by status, direction and whole numbers is one range of one index, so its cost does not depend on the number of
calls. A page by anything else reads one index, newest calls first, until the page is full.
The worst calls of a time are found by reading that part of the index whole.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_

from app.clock import iso_utc, parse_iso
from app.errors import InvalidRequest
from app.storage.call_words import as_number, matches
from app.storage.dialects.statements import ending, unindexed
from app.storage.schema import call_outcomes, calls, webhook_deliveries, webhook_inbox

_BLAMELESS = ("none", "caller", "policy")
"""Faults of calls in which nothing failed at this end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls to list; None matches every call."""

    status: str | None = None
    direction: str | None = None
    caller: str | None = None
    """A whole number with its ``+``; any other text is the end of one."""
    called: str | None = None
    """Likewise."""
    since: str | None = None
    """Calls that started at this ISO UTC time or later."""
    until: str | None = None
    """Calls that started before this ISO UTC time."""
    agent: str | None = None
    fault: str | None = None
    end_reason: str | None = None
    unanswered: bool | None = None
    """Calls with, or without, a turn of the caller that was never answered."""
    late: bool | None = None
    """Calls with, or without, an answer that came later than the policy allows."""
    failed: bool | None = None
    """Calls in which the line, a vendor or the service failed, or all others."""
    synthetic: bool | None = None
    """Calls that the service placed to check itself, or all others."""
    outcome: Mapping[str, str] = field(default_factory=dict)
    """Calls whose analysis found these plain values, by the names of the fields."""
    worst_first: bool = False
    """Only calls with trouble, and first those with the most unanswered turns, then those in which something failed,
    then those with the most late answers."""
    text: str | None = None
    """Calls in which each term was said, or is part of a number, or begins the call's id."""
    webhook: str | None = None
    """The calls of the webhooks whose ids begin so: those that the service sent, and for an hour LiveKit's."""


def list_statement(
    wanted: CallFilter, *, limit: int, after: tuple[str, str] | None, common: frozenset[str] = frozenset()
) -> Select[Any]:
    """The query of ``CallStore.list``; ``after`` is the (started_at, call_id) of the call before the page.

    ``common`` are those words of ``wanted.text`` that many calls have.
    """
    equal = {calls.c.status: wanted.status, calls.c.direction: wanted.direction}
    searched: list[ColumnElement[bool]] = []
    for column, number in ((calls.c.caller_number, wanted.caller), (calls.c.called_number, wanted.called)):
        if number is not None and number.startswith("+"):
            equal[column] = as_number(number) or number
        elif number is not None:
            searched.append(_ends_with(column, number.strip()))
    others = {calls.c.agent: wanted.agent, calls.c.fault: wanted.fault, calls.c.end_reason: wanted.end_reason}
    searched += [column == value for column, value in others.items() if value is not None]
    searched += [
        (column > 0) == has_some
        for column, has_some in ((calls.c.unanswered, wanted.unanswered), (calls.c.late, wanted.late))
        if has_some is not None
    ]
    if wanted.failed is not None:
        searched.append(calls.c.fault.not_in(_BLAMELESS) if wanted.failed else calls.c.fault.in_(_BLAMELESS))
    if wanted.synthetic:
        searched.append(calls.c.synthetic.is_(True))
    searched += [_found_in_outcome(name, value) for name, value in wanted.outcome.items()]
    searched += _looked_for(wanted, common)
    known = [(column, value) for column, value in equal.items() if value is not None]
    # With a plus SQLite uses no index of the column: for rare calls it would read every row that such an index finds.
    chosen = [((unindexed(column) if searched else column) == value) for column, value in known]
    conditions: list[ColumnElement[bool]] = [*chosen, *searched]
    if wanted.synthetic is False:  # that is most calls, so it may be asked of each one that an index finds
        conditions.append(calls.c.synthetic.is_(False))
    # Always one bound at each end: SQLite reads one range of the one index that fits, and cannot choose another.
    conditions.append(calls.c.started_at >= (wanted.since or ""))
    before = [bound for bound in (after, wanted.until and (wanted.until, "")) if bound]
    if before:
        conditions.append(tuple_(calls.c.started_at, calls.c.call_id) < min(before))
    newest_first = (calls.c.started_at.desc(), calls.c.call_id.desc())
    if not wanted.worst_first:
        return select(calls).where(*conditions).order_by(*newest_first).limit(limit)
    # The index has all that the order needs, so only the calls of the page are read.
    trouble = (func.coalesce(calls.c.unanswered, 0), calls.c.fault.not_in(_BLAMELESS), func.coalesce(calls.c.late, 0))
    conditions.append((trouble[0] > 0) | trouble[1] | (trouble[2] > 0))
    order = (*(each.desc() for each in trouble), *newest_first)
    worst = select(calls.c.call_id).where(*conditions).order_by(*order).limit(limit)
    return select(calls).where(calls.c.call_id.in_(worst)).order_by(*order)


def _looked_for(wanted: CallFilter, common: frozenset[str]) -> list[ColumnElement[bool]]:
    found = [] if wanted.webhook is None else [_of_webhook(wanted.webhook)]
    return found if wanted.text is None else [*found, matches(wanted.text, common)]


def _of_webhook(begin: str) -> ColumnElement[bool]:
    """The call that a webhook reports, or that takes place in the room of which LiveKit's reports."""
    sent = select(webhook_deliveries.c.call_id)
    sent = sent.where(webhook_deliveries.c.message_id.startswith(begin, autoescape=True))
    received = select(webhook_inbox.c.room_sid)
    received = received.where(webhook_inbox.c.event_id.startswith(begin, autoescape=True))
    return calls.c.call_id.in_(sent) | calls.c.room_sid.in_(received)


def _found_in_outcome(name: str, value: str) -> ColumnElement[bool]:
    has_it = (call_outcomes.c.field == name) & (call_outcomes.c.value == value)
    return calls.c.call_id.in_(select(call_outcomes.c.call_id).where(has_it))


def _ends_with(column: ColumnElement[Any], end: str) -> ColumnElement[bool]:
    bare = as_number(end) or end
    return ending(column, len(bare)) == bare


def encode_cursor(started_at: str, call_id: str) -> str:
    """Encode where the next page begins, after this call, as opaque text for a URL."""
    return base64.urlsafe_b64encode(json.dumps([started_at, call_id]).encode()).decode()


def decode_cursor(cursor: str) -> tuple[str, str]:
    """The inverse of :func:`encode_cursor`. Raises InvalidRequest."""
    try:
        started_at, call_id = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        genuine = iso_utc(parse_iso(started_at)) == started_at and call_id.isprintable()
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        genuine, started_at, call_id = False, "", ""
    if not genuine:
        raise InvalidRequest("the cursor is none that this service gave out")
    return started_at, call_id
