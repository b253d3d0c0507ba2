"""The guards themselves."""

import asyncio
import os
import socket

import pytest

VIRTUAL_TIME = True


async def test_an_hour_passes_at_once() -> None:
    started = asyncio.get_running_loop().time()

    await asyncio.sleep(3600)

    assert asyncio.get_running_loop().time() - started == 3600


def test_the_network_beyond_this_machine_is_closed() -> None:
    with socket.socket() as sock, pytest.raises(AssertionError, match="tried to reach"):
        sock.connect(("192.0.2.1", 80))


def test_settings_of_this_machine_do_not_reach_a_test() -> None:
    assert "SHELL" not in os.environ
