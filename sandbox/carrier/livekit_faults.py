"""Faults of LiveKit's API, by name; ``sandbox/carrier/livekit_trouble.py`` produces them."""

from typing import Final

NAMED: Final[dict[str, str]] = {
    "html": "A web page answers in LiveKit's place, with 200.",
    "bad_gateway": "A proxy answers 502, with a web page.",
    "server_error": "LiveKit answers 500, with an error of its own.",
    "no_protobuf": "The answer claims to be protobuf and is not.",
    "half_message": "The answer ends in the middle of a message, without an error.",
    "drip": "The answer comes one byte at a time and never ends.",
    "lost_answer": "LiveKit carries out the request, and the answer never comes.",
}
"""The kind of each fault, and one sentence that says what happens."""
