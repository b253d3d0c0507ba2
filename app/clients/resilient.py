"""What all vendor clients share: retries, circuit breaker, metrics, health, and logs without content."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
import tenacity

from app.clients.breaker import CircuitBreaker, Permit
from app.clients.foreign import raised_abroad
from app.clients.limiter import LIVE_WAIT_SECONDS, RequestLimiter
from app.clock import utc_now
from app.errors import (
    BreakerOpen,
    ContentRejected,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderTimeout,
    Throttled,
)
from app.models import ClientMetrics, ServiceHealth, VoiceConfig
from app.observability.listeners import Listeners

log = structlog.get_logger(__name__)

_LATENCIES_KEPT = 512
_REQUEST_SECONDS = 60.0


class ProviderObserver(Protocol):
    """Called after every finished attempt; the metrics implement it. Attempts with one shared error count once."""

    def attempt_finished(self, provider: str, operation: str, result: str, seconds: float) -> None:
        """``result`` is ``ok``, ``cancelled`` or an error code."""

    def retrying(self, provider: str, operation: str) -> None:
        """A request failed and is retried."""


class NoObserver:
    """An observer that does nothing."""

    def attempt_finished(self, provider: str, operation: str, result: str, seconds: float) -> None:
        """Nothing to do."""

    def retrying(self, provider: str, operation: str) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is retried, and with which waits."""

    attempts: int = 3
    initial_seconds: float = 0.1
    max_seconds: float = 2.0
    jitter_seconds: float = 0.1


class Attempt:
    """One attempt at a request; the caller reports when its answer begins."""

    def __init__(
        self, clock: Callable[[], float], breaker: CircuitBreaker | None = None, permit: Permit | None = None
    ) -> None:
        self._clock = clock
        self._breaker = breaker
        self._permit = permit
        self.started_at = clock()
        self.first_answer_at: float | None = None
        self.request_id: str | None = None

    def answered(self, request_id: str | None = None) -> None:
        """Report the first piece of the answer; the latency of a stream is measured up to it."""
        if self.first_answer_at is None:
            self.first_answer_at = self._clock()
            if self._breaker is not None and self._permit is not None:
                self._breaker.answered(self._permit, self.first_answer_at)
        self.request_id = request_id or self.request_id

    @property
    def seconds(self) -> float:
        """Seconds from the start to the first piece of the answer, or until now while there is none."""
        until = self._clock() if self.first_answer_at is None else self.first_answer_at
        return until - self.started_at


class BaseResilientClient:
    """The base class of all vendor clients.

    ``make_request`` is for requests that may be retried. A stream on the live path uses ``attempt``; only code that
    knows what the caller has heard may retry it.
    """

    provider = "provider"
    is_remote = True
    """Whether it is a remote service, which can be down and whose health is shown."""

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        breaker: CircuitBreaker | None = None,
        observer: ProviderObserver | None = None,
        limiter: RequestLimiter | None = None,
        request_seconds: float = _REQUEST_SECONDS,
    ) -> None:
        """``request_seconds`` bounds each attempt of ``make_request``, regardless of the SDK's timeouts.

        ``limiter`` is shared by the clients that use up the same limit of the vendor; None for a limit of its own.
        """
        self._request_seconds = request_seconds
        self._retry = retry or RetryPolicy()
        self._breaker = breaker or CircuitBreaker()
        self.limiter = limiter or RequestLimiter(self.provider)
        """The queue before the vendor's limit."""
        observer = observer or NoObserver()
        self._attempt_finished = Listeners("provider.attempt_finished", observer.attempt_finished)
        self._retrying = Listeners("provider.retrying", observer.retrying)
        self._latencies: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._requests = self._failures = self._retries = 0
        self._last_success: datetime | None = None
        self._last_error: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._requests} requests, {self._failures} failures, {self._breaker!r}>"

    def map_error(self, error: Exception) -> ProviderError | None:
        """Map an error of the vendor or the network to ours; None for a bug of our own, which then surfaces."""
        if isinstance(error, ProviderError):
            return error
        if isinstance(error, TimeoutError):
            return ProviderTimeout(self.provider, "no answer before the deadline")
        return None

    async def make_request(self, request_func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Await ``request_func(*args, **kwargs)``; retry with exponential backoff and jitter while that may help.

        Each attempt has a deadline. Raises ProviderError; an error that is not the vendor's passes unchanged.
        """
        operation = getattr(request_func, "__name__", "request").lstrip("_")  # inner functions are requests, too
        async for again in tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._retry.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception(self._may_help),
            before_sleep=lambda _state: self._count_retry(operation),
            reraise=True,
        ):
            with again:
                async with self.attempt(operation), asyncio.timeout(self._request_seconds):
                    return await request_func(*args, **kwargs)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @asynccontextmanager
    async def attempt(self, operation: str, *, insist: bool = False, takes_turn: bool = True) -> AsyncIterator[Attempt]:
        """One attempt: waits for its turn, asks the breaker, maps errors to ProviderError, counts and logs.

        With ``insist`` the breaker does not refuse it (see :meth:`CircuitBreaker.ask`). Without ``takes_turn`` the
        limiter is not asked: the caller holds a slot of its own, or the attempt counts against no limit.
        """
        if not takes_turn:
            async with self._attempt(operation, insist) as attempt:
                yield attempt
            return
        if not insist and self._breaker.state(asyncio.get_running_loop().time()) == "open":
            raise self._breaker_open()
        async with self.limiter.turn(), self._attempt(operation, insist) as attempt:
            yield attempt

    def _breaker_open(self) -> BreakerOpen:
        return BreakerOpen(self.provider, "not asked, it failed too often just now")

    @asynccontextmanager
    async def _attempt(self, operation: str, insist: bool) -> AsyncIterator[Attempt]:
        clock = asyncio.get_running_loop().time
        permit = self._breaker.ask(clock(), insist=insist)
        if permit is None:
            raise self._breaker_open()
        self._requests += 1
        attempt = Attempt(clock, self._breaker, permit)
        log.debug("provider.started", provider=self.provider, operation=operation)
        try:
            yield attempt
        except Exception as error:
            mapped = self.map_error(error) or self._unexpected(error)
            if mapped is None:
                self._breaker.abandoned(permit)
                raise
            if isinstance(mapped, Throttled):
                self._breaker.abandoned(permit)
            else:
                self._note_failure(operation, attempt, mapped, permit)
            if mapped is error:
                raise
            # A vendor's exception may quote what was said, so it does not become the cause.
            raise mapped from None
        except BaseException:
            self._breaker.abandoned(permit)
            self._attempt_finished(self.provider, operation, "cancelled", attempt.seconds)
            raise
        self._note_success(operation, attempt, permit)

    def note_broken_off(self, operation: str, error: ProviderError, began_at: float) -> None:
        """Report that an answer has broken off whose attempt had succeeded; it began at loop time ``began_at``."""
        clock = asyncio.get_running_loop().time
        self._note_failure(operation, Attempt(clock), error, Permit(began_at, answered_at=began_at))

    @property
    def is_down(self) -> bool:
        """Whether the vendor has failed too often just now, and has not answered since."""
        return self._breaker.is_down(asyncio.get_running_loop().time())

    def is_down_for(self, _voice: VoiceConfig) -> bool:
        """The same for a vendor that speaks."""
        return self.is_down

    async def warm_up(self) -> None:
        """Have a connection open before a caller needs it; nothing where none is kept. Raises ProviderError."""

    async def loaded(self) -> None:
        """Return when the vendor's library is loaded, or cannot be; at once where there is none."""

    async def aclose(self) -> None:
        """Close all connections; nothing where none is kept."""

    async def health_check(self) -> ServiceHealth:
        """The vendor's health as seen by the last requests; makes no request."""
        now = asyncio.get_running_loop().time()
        state = self._breaker.state(now)
        metrics = self.get_metrics()
        return ServiceHealth(
            name=self.provider,
            status="ok" if state == "closed" and self._last_error is None else "degraded",
            latency=metrics.latency_p50,
            last_success=self._last_success,
            breaker=state,
            detail=self._last_error,
        )

    def get_metrics(self) -> ClientMetrics:
        """Counts since the start, and latency percentiles over the last requests."""
        ordered = sorted(self._latencies)

        def percentile(share: float) -> float | None:
            return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None

        return ClientMetrics(
            requests=self._requests,
            failures=self._failures,
            retries=self._retries,
            breaker_opens=self._breaker.opens,
            latency_p50=percentile(0.50),
            latency_p95=percentile(0.95),
            latency_p99=percentile(0.99),
        )

    def _unexpected(self, error: Exception) -> ProviderError | None:
        """Map an undocumented exception that the vendor's package raised; None for a bug of our own."""
        place = raised_abroad(error)
        if place is None:
            return None
        return ProviderProtocolError(self.provider, f"unexpected {type(error).__name__} in {place}")

    def _may_help(self, error: BaseException) -> bool:
        """Whether a retry may help; not when the vendor's Retry-After exceeds our longest wait."""
        if isinstance(error, ProviderRateLimited) and (error.retry_after or 0.0) > self._retry.max_seconds:
            return False
        return isinstance(error, ProviderError) and error.retryable

    def _wait(self, state: tenacity.RetryCallState) -> float:
        policy = self._retry
        backoff = tenacity.wait_exponential_jitter(
            multiplier=policy.initial_seconds, max=policy.max_seconds, jitter=policy.jitter_seconds
        )(state)
        error = state.outcome.exception() if state.outcome else None
        wished = error.retry_after if isinstance(error, ProviderRateLimited) else None
        return max(backoff, wished or 0.0)

    def _count_retry(self, operation: str) -> None:
        self._retries += 1
        self._retrying(self.provider, operation)

    def _note_success(self, operation: str, attempt: Attempt, permit: Permit) -> None:
        self._breaker.succeeded(permit, asyncio.get_running_loop().time())
        self._last_success, self._last_error = utc_now(), None
        self._latencies.append(attempt.seconds)
        self._attempt_finished(self.provider, operation, "ok", attempt.seconds)
        log.debug(
            "provider.complete",
            provider=self.provider,
            operation=operation,
            seconds=round(attempt.seconds, 4),
            request_id=attempt.request_id,
        )

    def _note_failure(self, operation: str, attempt: Attempt, error: ProviderError, permit: Permit) -> None:
        now = asyncio.get_running_loop().time()
        if error.is_shared and error.is_counted:
            self._breaker.abandoned(permit)
            return
        error.is_counted = True
        error.request_id = error.request_id or attempt.request_id
        if isinstance(error, ContentRejected):
            self._breaker.succeeded(permit, now)
            self._last_success, self._last_error = utc_now(), None
        else:
            self._failures += 1
            self._last_error = error.code
            self._note_outage(error, permit, now)
        self._attempt_finished(self.provider, operation, error.code, attempt.seconds)
        log.warning(
            "provider.failed",
            provider=self.provider,
            operation=operation,
            code=error.code,
            detail=error.reason,
            seconds=round(attempt.seconds, 4),
            request_id=error.request_id,
        )

    def _note_outage(self, error: ProviderError, permit: Permit, now: float) -> None:
        """Tell breaker and limiter. A wait that a turn can afford is the limiter's affair alone, and no outage."""
        wait = (error.retry_after or 0.0) if isinstance(error, ProviderRateLimited) else 0.0
        if wait:
            self.limiter.pause(wait)
        if 0 < wait <= LIVE_WAIT_SECONDS:
            self._breaker.abandoned(permit)
        else:
            self._breaker.failed(permit, now, wait=wait or None)
