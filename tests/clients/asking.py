"""A vendor that answers as a test says, and an observer that counts the requests."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.clients.breaker import CircuitBreaker
from app.clients.resilient import BaseResilientClient, RetryPolicy
from app.errors import ProviderError, ProviderRateLimited, ProviderUnavailable


class Ledger:
    """Keeps every finished attempt."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, str, str]] = []
        self.seconds: list[float] = []
        self.retries: list[tuple[str, str]] = []

    def attempt_finished(self, provider: str, operation: str, result: str, seconds: float) -> None:
        self.attempts.append((provider, operation, result))
        self.seconds.append(seconds)

    def retrying(self, provider: str, operation: str) -> None:
        self.retries.append((provider, operation))

    @property
    def results(self) -> list[str]:
        return [result for _, _, result in self.attempts]


class Vendor:
    """Gives one scripted answer after another; an exception is raised, and time may pass first."""

    def __init__(self, *answers: object, seconds: float = 0.0) -> None:
        self._answers = list(answers)
        self._seconds = seconds
        self.asked_at: list[float] = []

    async def ask(self, *_args: Any, **_kwargs: Any) -> object:
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._seconds)
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def client(
    *, attempts: int = 3, threshold: int = 100, ledger: Ledger | None = None, recovery_seconds: float = 10.0
) -> BaseResilientClient:
    return BaseResilientClient(
        retry=RetryPolicy(attempts=attempts, initial_seconds=0.1, max_seconds=2.0, jitter_seconds=0.0),
        breaker=CircuitBreaker(threshold=threshold, recovery_seconds=recovery_seconds),
        observer=ledger,
    )


def unavailable() -> ProviderUnavailable:
    return ProviderUnavailable("provider", "status 503")


def limited(retry_after: float | None) -> ProviderRateLimited:
    return ProviderRateLimited("provider", "status 429", retry_after=retry_after)


async def fail(asked: BaseResilientClient, error: Callable[[], Exception], times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(ProviderError):
            await asked.make_request(Vendor(error()).ask)
