"""Reads the ``Range`` header of a request: https://www.rfc-editor.org/rfc/rfc9110#section-14"""

import re
from http import HTTPStatus

from starlette.exceptions import HTTPException

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.ASCII)


def wanted_bytes(header: str | None, size: int) -> range | None:
    """The bytes that ``Range`` asks for; None for all, also if the header is invalid or names several ranges.

    Raises HTTPException 416 if the range lies outside the content.
    """
    asked = _RANGE.fullmatch(header.strip()) if header is not None else None
    if asked is None or not any(asked.groups()):
        return None
    first, last = asked.groups()
    if not first:
        wanted = range(max(size - int(last), 0), size)
    else:
        wanted = range(int(first), min(int(last) + 1, size) if last else size)
    if last and first and int(last) < int(first):
        return None
    if not wanted:
        unsatisfied = {"Content-Range": f"bytes */{size}"}
        raise HTTPException(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "there are no such bytes", unsatisfied)
    return wanted
