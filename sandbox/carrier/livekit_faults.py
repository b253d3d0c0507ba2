"""What can be wrong with an answer of LiveKit's API, by name; ``sandbox/carrier/livekit_trouble.py`` plays it."""

from typing import Final

NAMED: Final[dict[str, str]] = {
    "html": "A web page answers in LiveKit's place, with 200.",
    "bad_gateway": "A proxy answers 502, with a web page.",
    "server_error": "LiveKit answers 500, with an error of its own.",
    "no_protobuf": "The answer says that it is protobuf, and is not.",
    "half_message": "The answer ends in the middle of a message, as if it were whole.",
    "drip": "The answer comes one byte at a time, and never to its end.",
    "lost_answer": "LiveKit does what it is asked, and the answer never comes.",
}
"""Kind of the fault to one sentence that says what happens."""
