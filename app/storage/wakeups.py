"""Who is told that another process has written something, so that it looks at once instead of at its next poll.

Nothing depends on it: whoever is told looks into the database, and whoever is not told polls. On SQLite, whose
processes share a machine and a file that is cheap to look into, nobody is told.
"""

from typing import Literal, get_args

from app.observability.listeners import Listeners

Topic = Literal["calls", "requests", "rows", "follow"]
"""A call waits to be taken · an operator wants something of the call · it has new rows · somebody follows it."""


class Wakeups:
    """What this process tells the others, and what it is told: a topic, and a call if it is about one."""

    def __init__(self) -> None:
        self.heard = {topic: Listeners[[str]](f"storage.{topic}") for topic in get_args(Topic)}
        """By topic: called with the id of a call, or an empty text. Also when something may have been missed."""
        self.is_listening = False
        """Whether this process is told at once, so that it may poll less often."""

    def tell(self, topic: Topic, call_id: str = "") -> None:
        """Tell the other processes soon, after what it is about was committed. Never waits; may be lost."""

    def rows_committed(self, call_id: str) -> None:
        """Tell those who follow a call in other processes."""

    def poll_seconds(self, alone: float, told: float) -> float:
        """How long to wait for the next look: ``told`` while wake-ups come, ``alone`` while they do not."""
        return told if self.is_listening else alone
