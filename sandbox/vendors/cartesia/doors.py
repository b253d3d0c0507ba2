"""What all of Cartesia's routes have in common: whom they turn away, and their errors."""

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from sandbox.vendors.cartesia.orders import Declined
from sandbox.vendors.faults import Trouble
from sandbox.vendors.wire import Dropped

REQUEST_ID: Final = "sandbox"
TURNED_AWAY: Final[dict[str, Declined]] = {
    "refuse": Declined(503, "unavailable", "Service unavailable", "try again later"),
    "unauthorized": Declined(401, "unauthorized", "Unauthorized", "the API key is not valid"),
    "unpaid": Declined(402, "payment_required", "Payment required", "the account has no credits left"),
    "forbidden": Declined(403, "forbidden", "Forbidden", "not available in this region"),
    "rate_limit": Declined(429, "concurrency_limited", "Too many concurrent requests", "wait for a context to end"),
}
BROKEN: Final = Declined(500, "internal_error", "Internal server error", "something broke")


def turned_away(connection: HTTPConnection, trouble: Trouble) -> Response | None:
    """The error for a client without a key or version, or that a fault turns away; None if it may proceed."""
    if trouble.turned_away == "unreachable":
        return Dropped()
    if trouble.turned_away is not None:
        return refusal(TURNED_AWAY[trouble.turned_away], trouble.headers)
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    key = (token if scheme.lower() == "bearer" else "") or connection.headers.get("x-api-key")
    if not (key or connection.query_params.get("access_token") or connection.query_params.get("api_key")):
        return refusal(TURNED_AWAY["unauthorized"])
    if not (connection.headers.get("cartesia-version") or connection.query_params.get("cartesia_version")):
        return refusal(Declined(400, "invalid_version", "Invalid version", "Cartesia-Version is required"))
    return None


def refusal(declined: Declined, headers: dict[str, str] | None = None) -> JSONResponse:
    """The error as an answer."""
    return JSONResponse(declined.body(REQUEST_ID), declined.status, headers)
