"""The bodies of ``GET /stats`` as pydantic models."""

from typing import Literal

from pydantic import BaseModel, Field

from routers.schemas import Moment


class StageFigures(BaseModel):
    """How long a stage of the answers took, in seconds. Each value is within 2.5 % of the exact one."""

    p50: float
    p95: float
    p99: float
    max: float
    count: int


class CostFigures(BaseModel):
    """Known costs. ``unpriced_calls`` are the answered calls whose total is not known; the sums leave them out."""

    stt: float
    llm: float
    tts: float
    telephony: float
    total: float
    currency: Literal["USD"]
    unpriced_calls: int


class Figures(BaseModel):
    """Sums over the calls that began in a time and have ended."""

    calls: int
    answered: int
    talk_seconds: float
    directions: dict[str, int]
    end_reasons: dict[str, int]
    faults: dict[str, int]
    abandoned: dict[str, int]
    outcomes: dict[str, int] = Field(description="Of the calls that were analysed: `success`, `failure`.")
    unanswered_turns: int
    unanswered_calls: int
    answers: int
    late_answers: int
    late_calls: int
    costs: CostFigures
    latency: dict[str, StageFigures] = Field(description="By stage, and in `total`.")


class TimeFigures(Figures):
    """The figures of one hour or day."""

    starts_at: Moment


class AgentFigures(Figures):
    """The figures of one agent."""

    agent: str | None = Field(description="Null for calls of versions without agents.")


class Stats(BaseModel):
    """Figures over all calls. Hours, days and agents without calls are left out."""

    since: Moment
    until: Moment
    bucket: Literal["hour", "day"]
    total: Figures
    buckets: list[TimeFigures]
    agents: list[AgentFigures]
