"""Server-sent events as they are written: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import json
from dataclasses import asdict

from app.models import JournalRow

STREAM_BEGINNING = "retry: 2000\n\n"
"""A client that loses the stream comes back after two seconds, by which time a worker that died has been replaced."""
HEARTBEAT = ": nothing new\n\n"


def server_sent(row: JournalRow) -> str:
    """A row of the journal as an event; a client that comes back says the last ``id`` that it has seen."""
    return f"id: {row.seq}\nevent: {row.type}\ndata: {json.dumps(asdict(row), ensure_ascii=False)}\n\n"
