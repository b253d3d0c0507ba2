"""What a worker is told by its supervisor: who it is, through its standard input, and later what to do."""

import base64
import pickle
from dataclasses import dataclass
from typing import BinaryIO

from app.settings import Settings

STOP = b"."
"""The first one: take no new calls and stop when the live ones have ended. The second one: stop at once."""


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """How to begin. All workers of a supervisor have the same settings, whatever became of the environment since."""

    number: int
    """From 1 on; a worker that replaces another has its number."""
    owner: str
    """Name under which the worker owns calls, as :class:`app.storage.calls.CallRow` has it."""
    listener: int
    """File descriptor of the socket that all workers accept connections on."""
    heartbeat: int
    """File descriptor of the pipe that takes a byte each half second."""
    settings: Settings


def written(order: WorkerOrder) -> bytes:
    """The first line of the worker's standard input. It holds the keys of the vendors."""
    return base64.b64encode(pickle.dumps(order)) + b"\n"


def read_order(source: BinaryIO) -> WorkerOrder:
    """Read the first line and no byte more: what follows are commands."""
    order: WorkerOrder = pickle.loads(base64.b64decode(source.readline()))  # noqa: S301 - written by our own parent
    return order
