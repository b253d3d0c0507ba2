"""What a vendor puts on the bill, as an event of the call."""

from app.conversation import events as ev
from app.ports.vendors import Charge


def used(charge: Charge, stage: str, turn: int | None = None) -> ev.ProviderUsed:
    """The event of a charge; ``stage`` is that of :class:`app.conversation.provider_events.ProviderUsed`."""
    return ev.ProviderUsed(
        charge.provider,
        charge.model,
        turn,
        stage=stage,
        seconds=charge.seconds,
        characters=charge.characters,
        cost=charge.cost,
        request_id=charge.request_ids[-1] if charge.request_ids else None,
        request_ids=charge.request_ids,
        way=charge.way,
        served=charge.served,
    )
