"""Tools of the agent that are HTTP endpoints of somebody else's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import httpx
from pydantic import SecretStr

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """Where a tool is and how it is asked. Nothing that a caller says is put into the address."""

    name: str
    method: Method
    url: str
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    timeout_seconds: float = 3.0
    """For the whole request."""


def url_problem(url: str) -> str | None:
    """Why no tool can be asked at that address; None when it can."""
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL:
        return "is no address"
    if read.scheme not in ("http", "https") or not read.host:
        return "is no address that begins with https:// or http://"
    if read.userinfo:
        return "holds a password; put that into a header, as ${NAME}"
    return "has a fragment, which is never sent" if read.fragment else None
