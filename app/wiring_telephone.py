"""Builds what telephone calls need beside everything that all calls need."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.calls.claims import Claims, Share
from app.calls.dispatcher import CallDispatcher
from app.calls.orchestrator import CallServices
from app.calls.rooms import MakeLeg, RoomCalls
from app.calls.webhooks import Webhooks
from app.clients.livekit_api import LiveKitClient
from app.models import TelephoneCall
from app.settings import Settings
from app.storage.database import Database
from app.storage.webhooks import WebhookInbox
from media.room_leg import RoomLeg


@dataclass(frozen=True, slots=True)
class Telephone:
    """What there is for telephone calls beside the dispatcher."""

    rooms: RoomCalls
    claims: Claims
    webhooks: Webhooks

    def stop(self) -> None:
        """Take no more calls; those there were have been drained."""
        self.claims.stop()
        self.rooms.stop()


def open_telephone(
    settings: Settings,
    livekit: LiveKitClient,
    database: Database,
    services: CallServices,
    dispatcher: CallDispatcher,
    tasks: asyncio.TaskGroup,
) -> Telephone:
    """Everything about telephone calls, running in ``tasks`` until it is stopped."""
    rooms = RoomCalls(
        dispatcher=dispatcher,
        livekit=livekit,
        calls=services.calls,
        make_leg=_legs(settings, livekit),
        room_prefix=settings.room_prefix,
        tasks=tasks,
    )
    dispatcher.on_crashed = rooms.let_go
    inbox = WebhookInbox(database)
    claims = Claims(
        inbox,
        services.calls,
        Share(services.owner, math.ceil(settings.places / settings.workers), has_siblings=settings.workers > 1),
        live_calls=lambda: dispatcher.live_calls,
        on_caller=rooms.meet,
        tasks=tasks,
    )
    secrets = settings.livekit_webhook_secrets
    return Telephone(rooms, claims, Webhooks(secrets, inbox, rooms, claims, services.metrics))


def _legs(settings: Settings, livekit: LiveKitClient) -> MakeLeg:
    def make_leg(caller: TelephoneCall, call_id: str, end_call: Callable[[], Awaitable[None]]) -> RoomLeg:
        token = livekit.agent_token(caller.room, call_id)
        return RoomLeg(
            url=settings.livekit_url or "", token=token, caller=caller.identity, name=call_id, end_call=end_call
        )

    return make_leg
