"""Places outbound calls: which numbers may be called, how often, and from which of our numbers."""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.calls.agent.hours import outside_hours
from app.calls.agent.profile import AgentProfile
from app.calls.agent.telephone_numbers import same_spelling
from app.calls.dispatch.admission import Admission
from app.calls.dispatch.unplaced import PLACED_WITHIN_SECONDS
from app.clients.livekit.trunks import bare_number, outbound_room_name
from app.clock import iso_utc, lease_now, utc_now
from app.errors import AdmissionError, DestinationNotAllowed, InvalidRequest
from app.storage.calls import CallRow
from app.storage.placements import DialLimits, IdempotencyKey, PlacementStore


@dataclass(frozen=True, slots=True)
class DialRules:
    """What the operator allows."""

    prefixes: tuple[str, ...]
    """The prefixes of numbers that may be called. Empty: no number may."""
    own_number: str | None
    """The caller id that we show. With None the trunk chooses it."""
    limits: DialLimits

    def check(self, to: str, number: str | None) -> None:
        """Check that ``to`` may be called from ``number``. Raises DestinationNotAllowed or InvalidRequest."""
        if not to.startswith(self.prefixes):
            raise DestinationNotAllowed("this number is not allowed: it begins with none of DIAL_PREFIXES")
        if number is not None and (self.own_number is None or bare_number(number) != bare_number(self.own_number)):
            raise InvalidRequest("from: calls are placed from our own number only, which is SIP_NUMBER")


class CallPlacement:
    """Stores outbound calls, for one of the processes to claim."""

    def __init__(
        self,
        rules: DialRules,
        store: PlacementStore,
        admission: Admission,
        *,
        max_live: int,
        room_prefix: str,
        wake_claims: Callable[[], None],
    ) -> None:
        """``wake_claims`` wakes the claims loop of this process: a call waits."""
        self._rules = rules
        self._store = store
        self._admission = admission
        self._max_live = max_live
        self._prefix = room_prefix
        self._wake_claims = wake_claims

    async def place(
        self,
        to: str,
        number: str | None,
        metadata: dict[str, Any],
        key: str | None,
        *,
        agent: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Store the call and return its id. For an idempotency ``key`` seen before, return the id of that call.

        ``to`` is in E.164; ``agent`` and ``variables`` are as the client wrote them. Raises DestinationNotAllowed,
        InvalidRequest, KeyReused, DialLimitReached, SpendingLimitReached, AtCapacity, Draining or StorageError.
        """
        self._admission.check_at_once()
        to = same_spelling(to, None) or to
        self._rules.check(to, number)
        speaker = self._admission.wanted_agent(agent, variables or {})
        asked = {"agent": agent, "variables": variables}
        body = _hash(
            {"to": to, "from": number, "metadata": metadata, **{name: part for name, part in asked.items() if part}}
        )
        named = None if key is None else IdempotencyKey(key, body)
        try:
            placed = await self._store.place(
                self._row(to, metadata, speaker, variables or {}, now := utc_now()),
                limits=self._rules.limits,
                max_live=self._max_live,
                key=named,
                now=now,
                reservation=self._admission.reservation(speaker),
                refusal=outside_hours(speaker.hours, to, now),
                is_announced=speaker.lookup is None,  # which may give the call to another agent
            )
        except AdmissionError as error:
            self._admission.refuse(error)
        self._wake_claims()
        return placed

    def _row(
        self, to: str, metadata: dict[str, Any], speaker: AgentProfile, variables: Mapping[str, Any], now: datetime
    ) -> CallRow:
        call_id = f"call_{secrets.token_hex(12)}"
        return CallRow(
            call_id=call_id,
            kind="room",
            direction="outbound",
            status="ringing",
            created_at=iso_utc(now),
            started_at=iso_utc(now),
            version=self._admission.planner.version,
            caller_number=self._rules.own_number,
            called_number=to,
            livekit_room=outbound_room_name(self._prefix, call_id),
            recording=speaker.is_recorded,
            retention=speaker.retention.own(),
            metadata=metadata,
            agent=speaker.name,
            variables=dict(variables),
            lease_until=lease_now() + PLACED_WITHIN_SECONDS,
        )


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
