"""An HTTP endpoint of a third party, which follows a script and keeps the requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.running import serving


@dataclass
class Says:
    """An answer; ``after`` so many seconds, or by ``cutting`` the connection."""

    text: str | bytes = '{"done": true}'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    cuts: bool = False


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: str
    answered: bool = False


class ToolEndpoint:
    """Gives the answers in their order, then repeats the last one."""

    def __init__(self, *answers: Says) -> None:
        self.answers = list(answers) or [Says()]
        self.asked: list[Asked] = []
        self.url = ""
        self._arrived = asyncio.Event()

    async def arrived(self, count: int = 1) -> Asked:
        """Wait for the request of that number, counted from 1."""
        async with asyncio.timeout(20):
            while len(self.asked) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.asked[count - 1]

    async def answer(self, request: Request) -> Response:
        body = (await request.body()).decode()
        asked = Asked(request.method, request.url.path, request.query_params.multi_items(), dict(request.headers), body)
        self.asked.append(asked)
        self._arrived.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(answer.after)
        if answer.cuts:
            request.app.state.hang_up(request.scope["client"])
        asked.answered = True
        return Response(answer.text, answer.status, answer.headers)


@asynccontextmanager
async def tool_endpoint(*answers: Says) -> AsyncIterator[ToolEndpoint]:
    """Serve until the context is left."""
    endpoint = ToolEndpoint(*answers)
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    async with serving(Starlette(routes=[Route("/{path:path}", endpoint.answer, methods=methods)])) as url:
        endpoint.url = url
        yield endpoint
