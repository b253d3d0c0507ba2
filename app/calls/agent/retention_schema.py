"""The part of an agent's file that says how long its calls are kept."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.settings_checks import KEPT_DAYS_MAX

Days = Annotated[int, Field(ge=0, le=KEPT_DAYS_MAX)]


class RetentionShape(BaseModel):
    """For how many days parts of the agent's calls are kept; 0 is for ever."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    recording_days: Days | None = None
    transcript_days: Days | None = None
    call_days: Days | None = None
