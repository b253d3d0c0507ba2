"""``python -m sandbox``: serve the vendors, print their addresses as one line of JSON, and run until stopped."""

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack

from sandbox.running import running_sandbox
from sandbox.vendors.profiles import PROFILES


def main() -> None:
    """Serve until SIGTERM or SIGINT or, with ``--with-parent``, until standard input closes; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="typical", help="how quick the vendors are")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same delays")
    parser.add_argument("--listens", action="store_true", help="recognise speech by its sound, not by a script")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # its clock is the same in all processes
        runner.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as resources:
        if options.with_parent:
            parent, _ = await loop.connect_read_pipe(lambda: _UntilClosed(stop), sys.stdin)
            resources.callback(parent.close)
        serving = running_sandbox(
            profile=options.profile,
            seed=options.seed,
            host=options.host,
            port=options.port,
            listens=options.listens,
        )
        sandbox = await resources.enter_async_context(serving)
        sys.stdout.write(json.dumps(sandbox.addresses()) + "\n")
        sys.stdout.flush()
        await stop.wait()


class _UntilClosed(asyncio.Protocol):
    """Sets an event when the pipe closes."""

    def __init__(self, closed: asyncio.Event) -> None:
        self._closed = closed

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()


if __name__ == "__main__":
    main()
