"""One livekit-server for all tests that do not stop it."""

from collections.abc import Iterator

import pytest

from tests.room.servers import LiveKitServer, ProgramMissing, livekit_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    try:
        with livekit_server(tmp_path_factory.mktemp("livekit")) as running:
            yield running
    except ProgramMissing as error:
        pytest.exit(str(error), returncode=2)
