"""A reader of the log that stops reading stops nothing."""

import json
import select
import subprocess
import sys
from pathlib import Path

LINES = 30_000
PROGRAM = f"""
import sys
import structlog
from app.observability.logs import configure_logging
configure_logging("info", pretty=False)
log = structlog.get_logger()
for number in range({LINES}):
    log.info("line", number=number)
print("done", flush=True)
sys.stdin.read()
log.info("last")
"""


def test_logging_continues_while_nobody_reads_and_the_log_says_what_is_missing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout
        assert select.select([process.stdout], [], [], 120)[0], "it waits for the reader of its log"
        assert process.stdout.readline() == b"done\n"
        _, written = process.communicate(timeout=60)
    finally:
        process.kill()
    lines = [json.loads(line) for line in written.splitlines()]
    numbers = [line["number"] for line in lines if line["event"] == "line"]
    (dropped,) = [line["lines"] for line in lines if line["event"] == "log.dropped"]
    assert numbers == list(range(len(numbers)))
    assert 10_000 <= len(numbers) < LINES
    last = [line for line in lines if line["event"] == "last"]  # it may be dropped, too
    assert len(numbers) + len(last) + dropped == LINES + 1
    assert process.returncode == 0
