"""Findings, and running checks at the same time, each with a time limit."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Grade = Literal["ok", "warning", "wrong", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found, and what to do about it. Contains no secret and no whole telephone number."""

    about: str
    grade: Grade
    said: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check, and how long it may take."""

    about: str
    look: Callable[[], Awaitable[Sequence[Finding]]]
    seconds: float = 10.0


async def examine(checks: Sequence[Check]) -> list[Finding]:
    """Run all checks at once, in tasks ``check:<about>``. Findings are in the order of the checks. Raises nothing."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_examined(check), name=f"check:{check.about}") for check in checks]
    return [finding for task in tasks for finding in task.result()]


async def _examined(check: Check) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(check.seconds):
            return await check.look()
    except TimeoutError:
        return [Finding(check.about, "wrong", f"no answer within {check.seconds:g} seconds", "Check the firewalls.")]
    except Exception as error:  # noqa: BLE001 - a failing check must not hide the findings of the others
        return [Finding(check.about, "wrong", f"could not be checked: {type(error).__name__}", why(error))]


def why(error: BaseException) -> str:
    """Why a connection failed and what to do, as far as the error shows."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The certificate is not valid: {cause.verify_message}. Renew it, or correct the name."
        if isinstance(cause, ssl.SSLError):
            return "The server there does not speak TLS. Check the port, and that the proxy is set up for HTTPS."
        if isinstance(cause, socket.gaierror):
            return "The name is unknown. Check its spelling and its DNS entry."
        if isinstance(cause, ConnectionRefusedError):
            return "Nothing listens there. Is the server running?"
        if isinstance(cause, TimeoutError):
            return "Nobody answered. Check the firewalls."
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
