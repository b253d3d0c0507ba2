"""The bodies of ``GET /calls/live`` as pydantic models."""

from typing import Literal

from pydantic import BaseModel, Field

from routers.schemas import Moment


class VendorTrouble(BaseModel):
    """A stage that has failed and has not worked since."""

    stage: str = Field(description="`listen`, `think`, `speak`, or `act` for a tool.")
    what: str = Field(description="Who failed, and the code of the failure.")


class LiveCall(BaseModel):
    """A call that lives."""

    call_id: str
    direction: str
    status: str = Field(description="`ringing` or `active`.")
    caller_number: str | None
    called_number: str | None
    agent: str | None
    synthetic: bool = Field(description="Nobody real calls: the service itself does, or a simulated caller.")
    started_at: Moment
    answered_at: Moment | None
    seconds: float = Field(description="Since the answer; since the start while it rings.")
    floor: str = Field(description="`listening`, `processing` or `speaking`: what the agent does.")
    transfer_to: str | None = Field(description="The target of a transfer that is under way.")
    speaker: Literal["caller", "agent"] | None = Field(description="Who said `words`; null before the first ones.")
    words: str = Field(description="The last words; those of the caller also while they speak.")
    answer_seconds: float | None = Field(description="From the caller's last sound to the last answer.")
    late_answers: int
    cost: float = Field(description="US dollars so far; speech recognition is added when it ends.")
    cost_is_complete: bool = Field(description="Whether the price of everything in `cost` is known.")
    trouble: list[VendorTrouble]


class LiveCalls(BaseModel):
    """The calls that live `at` that time, oldest first. `places` is how many there can be."""

    calls: list[LiveCall]
    at: Moment
    places: int
