"""The parts of an agent's file that say what is kept of its calls, and how long."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.models import RedactCategory
from app.settings_checks import KEPT_DAYS_MAX

RedactShape = list[RedactCategory]
Days = Annotated[int, Field(ge=0, le=KEPT_DAYS_MAX)]


class RetentionShape(BaseModel):
    """For how many days parts of the agent's calls are kept; 0 is for ever."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    recording_days: Days | None = None
    transcript_days: Days | None = None
    call_days: Days | None = None
