"""A worker that LiveKit's native part has ended dies; a worker that others signal does not."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.cli.native_panic import PANIC_STATUS

WATCHES = """
import os, signal, sys
from app.cli.native_panic import end_at_a_panic
end_at_a_panic()
print("ready", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGTERM)
sys.stdin.readline()
"""


def test_a_process_that_signals_itself_ends_and_others_cannot_end_it() -> None:
    with subprocess.Popen([sys.executable, "-c", WATCHES], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGTERM)
        while _has_pending_signals(process.pid):
            time.sleep(0.01)  # nothing reports that a signal was taken; until then a second one is lost
        process.stdin.write(b"panic\n")
        process.stdin.flush()
        assert process.wait(10) == PANIC_STATUS


def _has_pending_signals(pid: int) -> bool:
    [pending] = re.findall(r"^ShdPnd:\t(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(pending, 16) != 0
