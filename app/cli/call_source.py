"""Where the commands find calls: in the database of the settings, or at a running service by its address."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx

from app.clients.tls import tls_context
from app.errors import StorageError
from app.models import JournalRow
from app.observability.printable import printable
from app.settings import Settings, load_settings
from app.storage.call_lists import CallFilter
from app.storage.calls import CallRow
from app.storage.lookup import find_calls, look_up, sent_webhooks
from media.recording_report import RecordingReport, recording_report
from routers.explanation import SentWebhook
from routers.views import summary_of

_SECONDS = 20.0
_PAGE = 200
_SHOWN_IDS = 10
_WEBHOOK_LETTERS = 4
"""Of the id of a webhook: with fewer it is no id."""
_T = TypeVar("_T")


class NotFound(Exception):
    """No call, or more than one, is what was asked for, or nobody answers; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call with its journal and the state of its recording, as far as it was to be recorded."""

    call: CallRow
    rows: list[JournalRow]
    recording: RecordingReport | None
    webhooks: Sequence[SentWebhook]


class CallSource(Protocol):
    """Finds calls. Each method may raise StorageError or NotFound."""

    def list(self, wanted: CallFilter, limit: int) -> Sequence[Mapping[str, Any]]:
        """Calls as ``GET /calls`` shows them, newest first."""

    def get(self, call_id: str) -> FoundCall | None:
        """The call of this very id."""


class StoredCalls:
    """The calls in the database of the settings, read while the service may be running."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __str__(self) -> str:
        return f"in the database of {self._settings.data_dir}"

    def list(self, wanted: CallFilter, limit: int) -> list[dict[str, Any]]:
        """See :class:`CallSource`."""
        rows = find_calls(self._settings.database, wanted, limit)
        return [summary_of(row, self._settings.recordings_dir).model_dump() for row in rows]

    def get(self, call_id: str) -> FoundCall | None:
        """See :class:`CallSource`."""
        found = look_up(self._settings.database, call_id)
        if found is None:
            return None
        call, rows = found
        duration = call.duration_seconds if call.status == "ended" else None
        report = recording_report(self._settings.recordings_dir / call.call_id, duration) if call.recording else None
        sent = sent_webhooks(self._settings.database, call_id)
        webhooks = [SentWebhook(each.message_id, each.event, each.status) for each in sent]
        return FoundCall(call, rows, report, webhooks)


class ServedCalls:
    """The calls of a running service, asked over HTTP with its key."""

    def __init__(self, address: str, key: str | None) -> None:
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._address = address

    def __str__(self) -> str:
        return f"at {self._address}"

    def list(self, wanted: CallFilter, limit: int) -> list[dict[str, Any]]:
        """See :class:`CallSource`."""
        query, calls = _query(wanted), list[dict[str, Any]]()
        while len(calls) < limit:
            page = self._ask("/calls", {**query, "limit": str(min(_PAGE, limit - len(calls)))})
            calls += page["calls"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        return calls

    def get(self, call_id: str) -> FoundCall | None:
        """See :class:`CallSource`."""
        path = f"/calls/{quote(call_id, safe='')}"
        record = self._ask(path)
        events = None if record is None else self._ask(f"{path}/events")
        if record is None or events is None:
            return None
        rows = [JournalRow(**row) for row in events["events"]]
        state = record["recording"]
        report = RecordingReport(state["status"], tuple((begin, end) for begin, end in state["gaps"]))
        sent = self._ask("/webhooks/deliveries", {"call_id": call_id, "limit": str(_PAGE)})["deliveries"]
        webhooks = [SentWebhook(each["webhook_id"], each["event"], each["status"]) for each in reversed(sent)]
        return FoundCall(_row(record), rows, None if report.status == "none" else report, webhooks)

    def _ask(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON of an answer; None when there is no such thing."""
        try:
            with httpx.Client(base_url=self._address, timeout=_SECONDS, verify=tls_context()) as http:
                answer = http.get(path, params=query, headers=self._headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotFound(f"The service at {self._address} does not answer: {type(error).__name__}.") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise NotFound(f"The service at {self._address} refuses the key: set API_KEY to that of the service.")
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.is_error or not isinstance(body, dict):
            detail = body.get("detail") if isinstance(body, dict) else None
            told = printable(str(detail or f"status {answer.status_code}"))
            raise NotFound(f"The service at {self._address} refuses the request: {told}")
        return body


def call_source(address: str | None) -> CallSource:
    """The service at that address, with the key of the settings; without an address, the database of the settings."""
    settings = load_settings()
    if address is None:
        return StoredCalls(settings)
    return ServedCalls(address, settings.api_key.get_secret_value() if settings.api_key is not None else None)


def find_call(source: CallSource, call_id: str | None, wanted: CallFilter) -> FoundCall:
    """The call with this id, or the one whose id, or that of its webhook, begins so; without an id, the newest of those
    that are wanted.

    Raises NotFound when there is none, or more than one.
    """
    if call_id is not None and (found := source.get(call_id)) is not None:
        return found
    if call_id is None:
        ids = [str(call["call_id"]) for call in source.list(wanted, 1)]
    else:
        listed = source.list(replace(wanted, text=call_id), _PAGE) if call_id.strip() else []
        ids = [call["call_id"] for call in listed if str(call["call_id"]).startswith(call_id)]
        if not ids and len(call_id) >= _WEBHOOK_LETTERS:
            ids = [str(call["call_id"]) for call in source.list(replace(wanted, webhook=call_id), _PAGE)]
    if len(ids) > 1:
        raise NotFound(
            f"{len(ids)} calls, or their webhooks, begin with {printable(str(call_id))}: " + ", ".join(ids[:_SHOWN_IDS])
        )
    found = source.get(ids[0]) if ids else None
    if found is None:
        raise NotFound(f"There is no {'such call' if call_id is None else f'call {printable(call_id)}'} {source}.")
    return found


def told(ask: Callable[[], _T]) -> _T | None:
    """What a question finds. None, with a line on stderr, if it fails."""
    try:
        return ask()
    except (StorageError, NotFound) as error:
        sys.stderr.write(f"{error}\n")
        return None


_NAMES = {"caller": "from", "called": "to"}


def _query(wanted: CallFilter) -> dict[str, str]:
    query = {f"outcome.{name}": value for name, value in wanted.outcome.items()}
    for part in fields(wanted):
        value = getattr(wanted, part.name)
        if part.name == "worst_first":
            query |= {"order": "worst"} if value else {}
        elif value is not None and part.name != "outcome":
            query[_NAMES.get(part.name, part.name)] = json.dumps(value) if isinstance(value, bool) else str(value)
    return query


def _row(record: Mapping[str, Any]) -> CallRow:
    """A call as a database has it, from what ``GET /calls/{call_id}`` says."""
    ids = record["provider_ids"]
    known = {part.name: record[part.name] for part in fields(CallRow) if part.name in record}
    own = {"recording": record["recording"]["status"] != "none", "analysis": None, "unanswered": None}
    kind: Any = "websocket" if record["livekit_room"] is None else "room"
    return CallRow(
        **{**known, **own},
        kind=kind,
        created_at=record["started_at"],
        room_sid=ids["room_sid"],
        sip_call_id=ids["sip_call_id"],
    )
