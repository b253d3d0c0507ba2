"""Builds the parts that only telephone calls need."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from app.backoff import Backoff
from app.calls.dispatch.claims import Claims, Share
from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.live.session import CallServices
from app.calls.telephone.apologies import Apologies
from app.calls.telephone.dialer import SipDialer
from app.calls.telephone.heirs import RoomHeirs
from app.calls.telephone.inbound import MakeLeg, RoomCalls
from app.calls.telephone.leftovers import Leftovers
from app.calls.telephone.outbound import OutboundCalls
from app.calls.telephone.placement import CallPlacement, DialRules
from app.calls.telephone.transfer import RoomTelephony
from app.calls.telephone.webhooks import Webhooks
from app.clients.livekit.api import LiveKitClient
from app.clients.livekit.trunks import outbound_trunk_name
from app.observability.metrics import Metrics
from app.service_loops import ServiceLoops
from app.settings import Settings
from app.storage.database import Database, is_shared
from app.storage.placements import DialLimits, PlacementStore
from app.storage.webhooks import WebhookInbox
from app.times import ServiceTimes
from media.legs.room import Dialling, RoomLeg
from media.legs.room_announcement import announce
from media.legs.room_audio import ROOM_FORMAT

_Taken = TypeVar("_Taken")

_REJOIN = Backoff(first_seconds=0.25, max_seconds=4.0, jitter=0.2)
"""The waits between attempts to join a room; many calls may lose their server together."""
_GOODBYE_SECONDS = 60
"""How much longer than ``MAX_CALL_SECONDS`` LiveKit lets a call last: the agent says goodbye and hangs up itself."""


@dataclass(frozen=True, slots=True)
class Telephone:
    """The parts that only telephone calls need."""

    rooms: RoomCalls
    claims: Claims
    webhooks: Webhooks
    placing: CallPlacement

    def stop(self) -> None:
        """Take no more calls. The live ones have been drained before."""
        self.claims.stop()
        self.rooms.stop()


def open_telephone(
    settings: Settings,
    livekit: LiveKitClient,
    database: Database,
    services: CallServices,
    dispatcher: CallDispatcher,
    loops: ServiceLoops,
    times: ServiceTimes,
) -> Telephone:
    """Build and start everything about telephone calls. It runs until :meth:`Telephone.stop`."""
    make_leg, dialer = _legs(settings, livekit), _dialer(settings, livekit)
    leftovers = Leftovers(livekit, services.background)
    apologies = _apologies(settings, livekit, services, dispatcher, leftovers)
    make_telephony = _telephony(livekit, dialer, leftovers, times)
    rooms = RoomCalls(
        dispatcher=dispatcher,
        livekit=livekit,
        calls=services.calls,
        make_leg=make_leg,
        leftovers=leftovers,
        make_telephony=make_telephony,
        apologise=apologies.refuse,
        room_prefix=settings.room_prefix,
        max_call_seconds=settings.max_call_seconds,
        loops=loops,
        times=times,
    )
    outbound = OutboundCalls(
        dispatcher=dispatcher,
        livekit=livekit,
        calls=services.calls,
        make_leg=make_leg,
        end_room=leftovers.end_room,
        make_telephony=make_telephony,
        dialer=dialer,
        ring_seconds=settings.ring_seconds,
        loops=loops,
    )
    RoomHeirs(
        dispatcher=dispatcher,
        livekit=livekit,
        make_leg=make_leg,
        leftovers=leftovers,
        make_telephony=make_telephony,
        loops=loops,
    )
    inbox = WebhookInbox(database)
    claims = _claims(settings, inbox, services, dispatcher, rooms, outbound, loops)
    webhooks = Webhooks(settings.livekit_webhook_secrets, inbox, rooms, claims, services.metrics)
    return Telephone(rooms, claims, webhooks, _placing(settings, database, dispatcher, claims))


def _claims(
    settings: Settings,
    inbox: WebhookInbox,
    services: CallServices,
    dispatcher: CallDispatcher,
    rooms: RoomCalls,
    outbound: OutboundCalls,
    loops: ServiceLoops,
) -> Claims:
    return Claims(
        inbox,
        services.calls,
        _share(settings, services.owner),
        live_calls=lambda: dispatcher.live_calls,
        on_caller=_counted("inbound", rooms.meet, services.metrics),
        on_outbound=_counted("outbound", outbound.take, services.metrics),
        loops=loops,
    )


def _telephony(
    livekit: LiveKitClient, dialer: SipDialer, leftovers: Leftovers, times: ServiceTimes
) -> Callable[[str, str], RoomTelephony]:
    def make_telephony(room: str, caller: str) -> RoomTelephony:
        return RoomTelephony(
            livekit, dialer, leftovers, room=room, caller=caller, ring_seconds=times.transfer_ring_seconds
        )

    return make_telephony


def _counted(kind: str, take: Callable[[_Taken], None], metrics: Metrics) -> Callable[[_Taken], None]:
    def counted(taken: _Taken) -> None:
        take(taken)
        metrics.service.call_claimed(kind)

    return counted


def _share(settings: Settings, owner: str) -> Share:
    places = math.ceil(settings.places / settings.workers)
    return Share(owner, places, settings.places, has_siblings=settings.workers > 1 or is_shared(settings.database))


def _legs(settings: Settings, livekit: LiveKitClient) -> MakeLeg:
    def make_leg(
        room: str,
        caller: str,
        call_id: str,
        end_call: Callable[[], None],
        dialling: Dialling | None = None,
        sip_call_id: str | None = None,
    ) -> RoomLeg:
        return RoomLeg(
            url=settings.livekit_url or "",
            token=partial(livekit.agent_token, room, call_id),
            caller=caller,
            name=call_id,
            end_call=end_call,
            dialling=dialling,
            sip_call_id=sip_call_id,
            hold_seconds=settings.carrier_hold_seconds,
            rejoin_delay=_REJOIN.delay,
        )

    return make_leg


def _apologies(
    settings: Settings,
    livekit: LiveKitClient,
    services: CallServices,
    dispatcher: CallDispatcher,
    leftovers: Leftovers,
) -> Apologies:
    """For callers whose process died, and for callers who exceed a limit."""

    async def say(room: str, call_id: str, audio: bytes) -> None:
        token = livekit.agent_token(room, call_id)
        await announce(url=settings.livekit_url or "", token=token, name=call_id, audio=audio)

    apologies = Apologies(
        say,
        ROOM_FORMAT,
        planner=dispatcher.admission.planner,
        phrases=services.phrases,
        leftovers=leftovers,
        background=services.background,
    )
    dispatcher.on_crashed.add(apologies.let_go)
    dispatcher.on_over.add(apologies.end)
    return apologies


def _dialer(settings: Settings, livekit: LiveKitClient) -> SipDialer:
    return SipDialer(
        livekit,
        trunk_name=outbound_trunk_name(settings.room_prefix),
        number=settings.sip_number,
        max_seconds=math.ceil(settings.max_call_seconds + _GOODBYE_SECONDS),
    )


def _placing(settings: Settings, database: Database, dispatcher: CallDispatcher, claims: Claims) -> CallPlacement:
    limits = DialLimits(settings.dials_per_number_hour, settings.dials_per_day)
    return CallPlacement(
        DialRules(settings.dial_prefixes, settings.sip_number, limits),
        PlacementStore(database),
        dispatcher.admission,
        max_live=settings.places,
        room_prefix=settings.room_prefix,
        wake_claims=claims.wake,
    )
