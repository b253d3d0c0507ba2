"""What a supervisor sends to a worker's standard input: first an order that says who it is, later commands."""

import base64
import pickle
from dataclasses import dataclass
from typing import BinaryIO

from app.settings import Settings

STOP = b"."
"""The command to stop. The first: take no new calls, and stop when the live ones have ended. The second: at once."""
RELOAD = b"r"
"""The command to look at the files of the agents."""


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """How to start. All workers of a supervisor have the same settings, even if the environment has changed since."""

    number: int
    """From 1 on. A worker that replaces another has its number."""
    owner: str
    """The name under which the worker owns calls; see :class:`app.storage.calls.CallRow`."""
    listener: int
    """File descriptor of the socket that all workers accept connections on."""
    heartbeat: int
    """File descriptor of the pipe that takes a byte each half second."""
    settings: Settings


def written(order: WorkerOrder) -> bytes:
    """The first line of the worker's standard input. It contains the vendors' keys."""
    return base64.b64encode(pickle.dumps(order)) + b"\n"


def read_order(source: BinaryIO) -> WorkerOrder:
    """Read the first line and not a byte more: commands follow."""
    order: WorkerOrder = pickle.loads(base64.b64decode(source.readline()))  # noqa: S301 - written by our own parent
    return order
