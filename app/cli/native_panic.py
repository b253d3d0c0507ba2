"""Handles a panic in LiveKit's native library. It sends SIGTERM to its own process, and no room works afterwards."""

import logging
import os
import signal
import sys
import threading

PANIC_STATUS = 70
"""Exit status: an internal software error (sysexits.h)."""


def end_at_a_panic() -> None:
    """End this process at once when it signals itself, so that it is replaced. SIGTERM from others is ignored.

    Call it before any thread is started. macOS does not say who sent a signal, so a panic is ignored there, too.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_watch, name="panics", daemon=True).start()


def _watch() -> None:
    if sys.platform == "darwin":
        return
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getpid():
        continue
    for handler in logging.getLogger().handlers:
        handler.flush()  # the last lines say why; this waits two seconds at most
    os._exit(PANIC_STATUS)
