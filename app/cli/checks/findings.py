"""Findings, and checks that are made at the same time, each with an end."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Grade = Literal["good", "beware", "wrong", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is so, and what to do about it. No secret and no whole number is in it."""

    about: str
    grade: Grade
    said: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at, and how long that may take."""

    about: str
    look: Callable[[], Awaitable[Sequence[Finding]]]
    seconds: float = 10.0


async def examine(checks: Sequence[Check]) -> list[Finding]:
    """Make all checks at once, tasks ``check:<about>``; findings are in the order of the checks, and none is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_examined(check), name=f"check:{check.about}") for check in checks]
    return [finding for task in tasks for finding in task.result()]


async def _examined(check: Check) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(check.seconds):
            return await check.look()
    except TimeoutError:
        return [Finding(check.about, "wrong", f"no answer within {check.seconds:g} seconds", "Is a firewall between?")]
    except Exception as error:  # noqa: BLE001 - what one check stumbles over must not hide what the others found
        return [Finding(check.about, "wrong", f"could not be checked: {type(error).__name__}", why(error))]


def why(error: BaseException) -> str:
    """The reason behind a failed connection and what to do, as far as the network tells."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The certificate is not good: {cause.verify_message}. Renew it, or correct the name."
        if isinstance(cause, ssl.SSLError):
            return "What answers there speaks no TLS. Is the port right, is the proxy set up for HTTPS?"
        if isinstance(cause, socket.gaierror):
            return "The name is not known. Is it spelt right, has it an entry in DNS?"
        if isinstance(cause, ConnectionRefusedError):
            return "Nothing listens there. Does it run, is the port right?"
        if isinstance(cause, TimeoutError):
            return "Nobody answered. Is a firewall between?"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
