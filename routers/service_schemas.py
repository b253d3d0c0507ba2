"""What the endpoints for the whole service answer."""

from pydantic import BaseModel, Field

from routers.schemas import Moment


class OrdersInForce(BaseModel):
    """What operators have ordered the whole service; null: not in force."""

    paused_since: Moment | None
    draining_since: Moment | None
    outbound_stopped_since: Moment | None
    ordered_by: str | None = Field(description="The name of the key that gave the last order.")


class AuditRow(BaseModel):
    """One request that changed something, or was to."""

    audit_id: int
    at: Moment
    key: str = Field(description="The name of the key; never the key.")
    action: str = Field(examples=["POST /calls/{call_id}/hangup"])
    call_id: str | None
    detail: str | None
    status: int | None = Field(description="The HTTP status of the answer; null when the process died before it.")


class AuditPage(BaseModel):
    """Entries, newest first."""

    entries: list[AuditRow]
    next_cursor: int | None
