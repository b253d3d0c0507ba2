"""Compresses one recording, as a program: ``python -m media.compress_program FOLDER``.

A program of its own, because it takes a minute of CPU for an hour of sound: it runs at the lowest priority, holds no
lock of the service's interpreter, and if a library crashes, no call does. It writes the outcome as one line of JSON,
and ends at once when its standard input ends, because then nobody waits for it.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from threading import Thread

from media.compression import compress_recording

_LOWEST_PRIORITY = 19
_DISK_FAILED_STATUS = 74


def main() -> int:
    """Compress; returns the exit status."""
    os.nice(_LOWEST_PRIORITY)
    Thread(target=_end_with_input, name="input", daemon=True).start()
    try:
        found = compress_recording(Path(sys.argv[1]))
    except OSError as error:
        sys.stdout.write(json.dumps({"error": error.strerror or type(error).__name__}))
        return _DISK_FAILED_STATUS
    sys.stdout.write(json.dumps(asdict(found)))
    return 0


def _end_with_input() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
