"""``GET /docs``: the description of the HTTP interface, to read and to try out.

Swagger UI 5.35.0 (Apache-2.0) draws it. Its files are in ``static/swagger-ui``, as the npm package swagger-ui-dist has
them, without the references to source maps; to update them, replace them by those of a newer package.
"""

from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from routers.query_parameters import KNOWN_PARAMETERS

router = APIRouter(dependencies=[KNOWN_PARAMETERS])

_PAGE = (Path(__file__).parent / "static" / "docs.html").read_text(encoding="utf-8")
_POLICY = (
    # Its style sheet has icons as data, and it styles elements in place; it runs no script but these files.
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """Serve the page. It needs no key, and exists in development only."""
    return HTMLResponse(_PAGE, headers={"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY})
