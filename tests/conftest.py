"""Guards around every test: a fresh loop, no leaked task, no network beyond this machine, an empty environment.

A coroutine test is run to its end on an event loop of its own: in steady time (:mod:`tests.support.steady_time`), in
virtual time (:mod:`tests.support.virtual_time`) where its module says ``VIRTUAL_TIME = True``, in leaping time
(:mod:`tests.support.leaping_time`), which has sockets, where it says ``LEAPING_TIME = True``, and in real time where
other programs set the pace. Hypothesis gives every run the same examples, and no slow machine stops it;
``--hypothesis-profile explore`` looks for new ones.
"""

import asyncio
import gc
import inspect
import os
import socket
from typing import Any

import pytest
from hypothesis import settings

from tests.support import postgres
from tests.support.leaping_time import LeapingTimeLoop
from tests.support.steady_time import SteadyTimeLoop
from tests.support.virtual_time import VirtualTimeLoop

_KEPT_VARIABLES = {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "CI", "TIME_SCALE"}
_LOOPBACK = ("127.", "::1", "localhost")
_HANGS_AFTER_SECONDS = 200
_REAL_TIME = {"browser", "room"}
"""Folders of tests in which other programs set the pace."""

settings.register_profile("explore", settings.get_profile("ci"), derandomize=False, max_examples=1000)
settings.load_profile("ci")


def pytest_configure() -> None:
    """The processes of a run share a Postgres server; the first test that needs it starts it."""
    postgres.announce()


def pytest_unconfigure() -> None:
    postgres.withdraw()


def pytest_collection_finish() -> None:
    """What was imported stays: no search for garbage in it may stop a test for the fifth of a second that it takes."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test on a loop of its own, and fail it when it leaves a task behind."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    virtual = getattr(pyfuncitem.module, "VIRTUAL_TIME", False)
    loops = _loops(pyfuncitem)

    async def run() -> None:
        if virtual:
            await pyfuncitem.obj(**arguments)
        else:
            async with asyncio.timeout(3600 if loops is LeapingTimeLoop else _HANGS_AFTER_SECONDS):
                await pyfuncitem.obj(**arguments)
        leaked = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not leaked, f"tasks left behind: {leaked}"

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(run())
    return True


def _loops(test: pytest.Function) -> type[asyncio.AbstractEventLoop] | None:
    if getattr(test.module, "VIRTUAL_TIME", False):
        return VirtualTimeLoop
    if getattr(test.module, "LEAPING_TIME", False):
        return LeapingTimeLoop
    return None if test.path.parent.name in _REAL_TIME else SteadyTimeLoop


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine reaches a test."""
    for name in set(os.environ) - _KEPT_VARIABLES:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to another machine is a failure."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
