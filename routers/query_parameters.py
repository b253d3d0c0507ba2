"""Refuses query parameters that a route does not have, so that a misspelt filter is never silently ignored."""

import re
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated

from fastapi import Depends, Query
from fastapi.dependencies.models import Dependant
from fastapi.requests import HTTPConnection

from app.clock import iso_utc, parse_iso
from app.errors import InvalidRequest
from app.observability.printable import printable

_NAME_SHOWN = 64
_OUTCOME = "outcome."
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VALUE_LETTERS = 200
_TOKEN = "token"  # noqa: S105 - the name of a parameter


async def _refuse_unknown(connection: HTTPConnection) -> None:
    """Raise InvalidRequest if the query has a parameter that the route does not declare, or one of them twice."""
    given = Counter(name for name, _ in connection.query_params.multi_items())
    if not given:
        return
    declared = list(_declared(connection.scope["route"].dependant))
    if _TOKEN in declared and _TOKEN not in given:
        return  # the route refuses a socket without its token, and a stranger learns no more than that
    unknown = [name for name in given if name not in declared and not _is_outcome(name, declared)]
    if unknown:
        raise InvalidRequest("; ".join(_unknown(name, declared) for name in unknown))
    repeated = [name for name, times in given.items() if times > 1]
    if repeated:
        raise InvalidRequest(f"{', '.join(repeated)}: given more than once")


def _is_outcome(name: str, declared: list[str]) -> bool:
    return f"{_OUTCOME}*" in declared and name.startswith(_OUTCOME)


def _declared(dependant: Dependant) -> Iterator[str]:
    """The names of a route's query parameters, with those of its dependencies."""
    yield from (field.alias for field in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _declared(dependency)


def _unknown(name: str, declared: list[str]) -> str:
    meant = get_close_matches(name, declared, n=1)
    hint = f"is {meant[0]} meant?" if meant else f"the parameters are: {', '.join(declared) or 'none'}"
    return f"{printable(name[:_NAME_SHOWN])}: there is no such parameter; {hint}"


async def outcome_filters(
    connection: HTTPConnection,
    _any: Annotated[
        str | None,
        Query(
            alias=f"{_OUTCOME}*",
            description="`outcome.` and the name of a field: calls whose analysis found this plain value there, such "
            "as `outcome.booked=true`.",
        ),
    ] = None,
) -> dict[str, str]:
    """The values that the query asks for, by the names of the fields. Raises InvalidRequest."""
    given = [(name, value) for name, value in connection.query_params.multi_items() if name.startswith(_OUTCOME)]
    wanted = {name.removeprefix(_OUTCOME): value for name, value in given}
    for name, value in wanted.items():
        if not _FIELD.fullmatch(name) or not 0 < len(value) <= _VALUE_LETTERS:
            raise InvalidRequest("outcome.<field>: write the name of a field of an agent's outcome, and a value")
    return wanted


def moment(name: str, text: str | None) -> str | None:
    """A parameter that is a time, as ISO UTC. Raises InvalidRequest, which names the parameter."""
    if text is None:
        return None
    try:
        return iso_utc(parse_iso(text))
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"{name} is not an ISO 8601 time") from error


KNOWN_PARAMETERS = Depends(_refuse_unknown)
"""For every router, after the check of the key."""
