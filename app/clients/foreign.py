"""Whose exception it is: raised in a vendor's package, or in our own code.

An SDK raises more types than it documents (``AttributeError`` for a JSON list where it expects an object, protobuf's
``DecodeError``). Naming each is hopeless, and catching all of them would hide our own bugs. So the place decides:

    innermost frame outside the standard library   whose
    ---------------------------------------------  -----------------------------------------
    app, media, routers, sandbox                   ours: a bug, which must be found
    any other package                              the vendor's: a failed request

The standard library is passed over, because ``json.loads`` raises for whoever calls it.
"""

import sys
from types import FrameType

_OURS = frozenset({"app", "bench", "media", "routers", "sandbox", "tests", "__main__"})


def raised_abroad(error: BaseException) -> str | None:
    """``file:line`` of the frame of somebody else's package that raised the error; None when our own code did."""
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
