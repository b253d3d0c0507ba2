"""Decides whose exception it is: a vendor's package's, or our own code's.

An SDK raises more types than it documents (``AttributeError`` for a JSON list where it expects an object, protobuf's
``DecodeError``). Nobody can list them all, and catching everything would hide our own bugs. So the location decides:

    innermost frame outside the standard library   whose
    ---------------------------------------------  -----------------------------------------
    app, media, routers, sandbox                   ours: a bug, which must surface
    any other package                              the vendor's: a failed request

Frames of the standard library are skipped, because ``json.loads`` raises on behalf of its caller.
"""

import sys
from types import FrameType

_OURS = frozenset({"app", "bench", "media", "routers", "sandbox", "tests", "__main__"})


def raised_abroad(error: BaseException) -> str | None:
    """``file:line`` in the third-party package that raised the error; None when our own code raised it."""
    place: str | None = None
    traceback = error.__traceback__
    while traceback is not None:
        package = _package(traceback.tb_frame)
        if package in _OURS:
            place = None
        elif package not in sys.stdlib_module_names:
            name = traceback.tb_frame.f_code.co_filename.rpartition("/")[2]
            place = f"{package}, {name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
