"""``GET /stats``: figures over all calls."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from app.clock import iso_utc, parse_iso, utc_now
from app.errors import InvalidRequest
from app.storage.figures import Figures, FigureSet, Latency
from routers.auditing import WITH_KEY
from routers.dependencies import TheServices
from routers.figure_schemas import AgentFigures, Stats, TimeFigures
from routers.figure_schemas import Figures as ShownFigures
from routers.query_parameters import moment

router = APIRouter(dependencies=WITH_KEY, tags=["calls"])

Bucket = Literal["hour", "day"]
_USUAL = {"hour": timedelta(days=1), "day": timedelta(days=30)}
_LONGEST = {"hour": timedelta(days=14), "day": timedelta(days=731)}
_FIRST_YEAR, _LAST_YEAR = 2000, 2999
_SINCE = "From the beginning of this hour or day on (UTC); a day before `until`, or 30 days for `bucket=day`."
_UNTIL = "To the end of this hour or day; now."
_BUCKET = "What `buckets` has the figures of: at most 14 days by hour, 731 by day."
_OUTCOMES = {"true": "success", "false": "failure"}


@router.get("/stats", response_model=Stats)
async def get_stats(
    services: TheServices,
    since: Annotated[str | None, Query(description=_SINCE, examples=["2026-11-22"])] = None,
    until: Annotated[str | None, Query(description=_UNTIL, examples=["2026-11-23T10:00:00Z"])] = None,
    bucket: Annotated[Bucket, Query(description=_BUCKET)] = "hour",
) -> Response:
    """Get how many calls there were, how they ended, what they cost, and how long callers waited for answers.

    A call counts from its end on, at the time at which it began. It stays in the figures when it is erased.
    """
    end = parse_iso(moment("until", until) or iso_utc(utc_now()))
    if not _FIRST_YEAR <= end.year <= _LAST_YEAR:
        raise InvalidRequest(f"until must be in the years {_FIRST_YEAR} to {_LAST_YEAR}")
    begin = parse_iso(moment("since", since) or iso_utc(end - _USUAL[bucket]))
    if begin >= end:
        raise InvalidRequest("since must be before until")
    if end - begin > _LONGEST[bucket]:
        raise InvalidRequest(f"at most {_LONGEST[bucket].days} days by {bucket}: choose a shorter time, or bucket=day")
    found = await services.after.figures.read(bucket, iso_utc(begin), iso_utc(end))
    # Figures of a week by hour are a tenth of a second's work, which no call should wait for.
    return Response(await asyncio.to_thread(_body, bucket, found), media_type="application/json")


def _body(bucket: Bucket, found: FigureSet) -> str:
    stats = Stats(
        since=found.since,
        until=found.until,
        bucket=bucket,
        total=ShownFigures(**_shown(found.total)),
        buckets=[TimeFigures(starts_at=at, **_shown(figures)) for at, figures in found.by_time.items()],
        agents=[AgentFigures(agent=agent or None, **_shown(figures)) for agent, figures in found.by_agent.items()],
    )
    return stats.model_dump_json()


def _shown(figures: Figures) -> dict[str, Any]:
    counts = ("calls", "answered", "unanswered_turns", "unanswered_calls", "answers", "late_answers", "late_calls")
    costs = figures.parts("cost")
    return {
        **{name: int(figures.amount(name)) for name in counts},
        "talk_seconds": round(figures.amount("talk_seconds"), 3),
        "directions": _counts(figures, "direction"),
        "end_reasons": _counts(figures, "end_reason"),
        "faults": _counts(figures, "fault"),
        "abandoned": _counts(figures, "abandoned"),
        "outcomes": {_OUTCOMES[found]: count for found, count in _counts(figures, "success").items()},
        "costs": {
            **{kind: costs.get(kind, 0.0) for kind in ("stt", "llm", "tts", "telephony", "total")},
            "currency": "USD",
            "unpriced_calls": int(figures.amount("unpriced_calls")),
        },
        "latency": {stage: _latency(latency) for stage, latency in figures.latency.items()},
    }


def _latency(found: Latency) -> dict[str, float]:
    return {"p50": found.p50, "p95": found.p95, "p99": found.p99, "max": found.max, "count": found.count}


def _counts(figures: Figures, name: str) -> dict[str, int]:
    return {part: int(count) for part, count in figures.parts(name).items() if count}
