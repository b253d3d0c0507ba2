"""The dashboard: a page that looks at the calls through the other doors."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

router = APIRouter()

_FILES = Path(__file__).parent / "static"
_REVALIDATED = {"Cache-Control": "no-cache"}
"""A browser asks each time whether the file has changed: after an update no old script meets a new page."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self'; img-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    # No script can write HTML: whatever a caller says stays text, even should the page forget itself.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


class Static(StaticFiles):
    """The page's own files; it uses nobody else's."""

    def __init__(self) -> None:
        super().__init__(directory=_FILES)

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """As it is, to be asked for again."""
        response = super().file_response(*arguments, **options)
        response.headers.update(_REVALIDATED)
        return response


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """The page itself holds nothing that must be kept from anybody."""
    return FileResponse(_FILES / "dashboard.html", headers={**_REVALIDATED, "Content-Security-Policy": _POLICY})
