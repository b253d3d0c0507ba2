"""One livekit-server for all tests that do not stop it, and one rig for all calls that need nothing special."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest

from sandbox.child_server import ServerMissing
from tests.room.rig import Rig, rig
from tests.room.servers import LiveKitServer, livekit_server

_T = TypeVar("_T")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    yield from _running(livekit_server(tmp_path_factory.mktemp("livekit")))


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    yield from _running(rig(tmp_path_factory.mktemp("rig")))


@pytest.fixture
def own_system(tmp_path: Path) -> Iterator[Rig]:
    """For a test that breaks it."""
    yield from _running(rig(tmp_path))


def _running(wanted: AbstractContextManager[_T]) -> Iterator[_T]:
    try:
        with wanted as running:
            yield running
    except ServerMissing as error:
        pytest.exit(str(error), returncode=2)
