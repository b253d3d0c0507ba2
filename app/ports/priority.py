"""Which requests to vendors go first when a vendor's limit is nearly used up.

Code that does not serve a waiting caller says so::

    with requests_at(Priority.BACKGROUND):
        text = await model.generate_response(messages, context)

Everything else counts as a live turn. See :mod:`app.clients.limiter` for what each priority may do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from enum import IntEnum


class Priority(IntEnum):
    """The smallest number goes first."""

    LIVE_TURN = 0
    """A caller waits for it."""
    HEDGE = 1
    """A second request beside one that is late, or a probe."""
    BACKGROUND = 2
    """The analysis of a call that has ended, and phrases that are voiced in advance: they use what is left."""


_current: ContextVar[Priority] = ContextVar("priority", default=Priority.LIVE_TURN)


def current_priority() -> Priority:
    """The priority of requests that are made here."""
    return _current.get()


@contextmanager
def requests_at(priority: Priority) -> Iterator[None]:
    """Requests made inside, and in tasks that are started inside, have this priority, or a lower one if they had it.

    An async generator must not yield inside: its consumer would get the priority too.
    """
    token = _current.set(max(priority, _current.get()))
    try:
        yield
    finally:
        _current.reset(token)


def context_at(priority: Priority) -> Context:
    """The context for a task whose requests have this priority, or a lower one if they would have it anyway."""
    context = copy_context()
    context.run(lambda: _current.set(max(priority, _current.get())))
    return context
