"""The typed way from a request to the services, past the key."""

import hmac
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.requests import HTTPConnection
from pydantic import SecretStr

from app.wiring import Services


def services_of(connection: HTTPConnection) -> Services:
    """The services of the running application."""
    services: Services = connection.app.state.services
    return services


TheServices = Annotated[Services, Depends(services_of)]


def require_key(connection: HTTPConnection, services: TheServices) -> None:
    """Refuse a request without the API key; where no key is set, the service listens on this machine only."""
    _require(connection, services.settings.api_key)


def require_metrics_token(connection: HTTPConnection, services: TheServices) -> None:
    """Refuse a request without the metrics token, if one is set."""
    _require(connection, services.settings.metrics_token)


def _require(connection: HTTPConnection, secret: SecretStr | None) -> None:
    if secret is None:
        return
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(given.encode(), secret.get_secret_value().encode())
    if scheme.lower() != "bearer" or not right:
        raise HTTPException(401, "a valid key is needed: Authorization: Bearer <key>", {"WWW-Authenticate": "Bearer"})
