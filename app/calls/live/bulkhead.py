"""Keeps what goes wrong in one call, or in one step of its end, from everything else."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.errors import OwnershipLost
from app.observability.tracebacks import describe

log = structlog.get_logger(__name__)


@contextmanager
def bulkhead(step: str) -> Iterator[None]:
    """Log whatever goes wrong while the call is closed; it harms no other call."""
    try:
        yield
    except OwnershipLost:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        log.error("call.not_closed", step=step, error=describe(error))


def leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    """The exceptions of a group and of the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
