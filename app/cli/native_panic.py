"""A panic in LiveKit's native part: it sends SIGTERM to its own process, in which no room works from then on."""

import logging
import os
import signal
import sys
import threading

PANIC_STATUS = 70
"""Exit status: an internal software error (sysexits.h)."""


def end_at_a_panic() -> None:
    """End this process at once when it signals itself, so that it is replaced; SIGTERM of others is ignored.

    To be called before any thread is started. macOS does not tell who sent a signal: there a panic is ignored, too.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_watch, name="panics", daemon=True).start()


def _watch() -> None:
    if sys.platform == "darwin":
        return
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getpid():
        continue
    for handler in logging.getLogger().handlers:
        handler.flush()  # the last lines say why; it waits two seconds at most
    os._exit(PANIC_STATUS)
