"""The dashboard: a page that shows the calls through the other endpoints."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from app.wiring import Services
from routers.dependencies import TheServices
from routers.query_parameters import KNOWN_PARAMETERS

router = APIRouter(dependencies=[KNOWN_PARAMETERS])

_FILES = Path(__file__).parent / "static"
_PAGE = (_FILES / "dashboard.html").read_text(encoding="utf-8")
_REVALIDATED = {"Cache-Control": "no-cache"}
"""The browser checks each time whether the file has changed, so that an update never mixes old scripts and pages."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self'; img-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    # No script can write HTML: whatever a caller says stays text, even if the page has a bug.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


class Static(StaticFiles):
    """The page's own files. It loads nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__(directory=_FILES)

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """The file, with a header that makes browsers revalidate it."""
        response = super().file_response(*arguments, **options)
        response.headers.update(_REVALIDATED)
        return response


@router.get("/", include_in_schema=False)
async def page(services: TheServices) -> Response:
    """Serve the page. It contains nothing secret, so it needs no key."""
    return HTMLResponse(_page(services), headers={**_REVALIDATED, "Content-Security-Policy": _POLICY})


def _page(services: Services) -> str:
    """The page's text. It says whether the service has an API key, because without one nobody can log out, and whether
    it asks real vendors."""
    settings = services.settings
    marks = {"data-open": settings.api_key is None, "data-sandbox": not settings.uses_live_vendors}
    body = " ".join(["<body", *(mark for mark, is_set in marks.items() if is_set)])
    return _PAGE.replace("<body", body, 1)
