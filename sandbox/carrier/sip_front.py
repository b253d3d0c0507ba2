"""A proxy in front of a LiveKit server that has no livekit-sip: it dials and transfers, and forwards everything else.

Twirp (https://twitchtv.github.io/twirp/docs/spec_v7.html): ``POST /twirp/livekit.SIP/CreateSIPParticipant`` and
``TransferSIPParticipant`` are answered here, every other method by the server behind. Only the server API goes through
the proxy; participants connect to the server itself.

The control interface: ``POST /control/numbers/{number}`` sets what happens when a number is dialled, with the fields of
:class:`sandbox.carrier.sip_outcomes.Destination`; ``POST /control/sip`` takes ``{"is_there": false}``;
``GET /control/calls`` lists the calls. ``POST /control/faults`` takes a :class:`sandbox.vendors.faults.Fault` of the
vendor ``livekit``, whose ``route`` is a method such as ``DeleteRoom``; ``DELETE /control/faults`` clears them.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.caller.caller import Caller, Speak
from sandbox.carrier.called_telephone import CalledTelephone
from sandbox.carrier.carrier import TELEPHONE, Carrier
from sandbox.carrier.livekit_trouble import NOT_HERE, struck
from sandbox.carrier.sip_outcomes import NO_SIP, Directory, TwirpError, load_destination
from sandbox.carrier.sip_requests import check_grant, participant_answer, read_dial, read_refer, transfer_answer
from sandbox.carrier.telephone_line import TelephoneLine
from sandbox.running import serving
from sandbox.vendors.faults import BadFault, Fault, FaultBook

_NO_SIP_SECONDS = 1.0
_BYE_AFTER_TRANSFER_SECONDS = 1.0
_FORWARDED = ("authorization", "content-type", "user-agent", "x-livekit-request-id")


class SipFront:
    """The proxy and the calls it placed; each task ``called:<identity>`` or ``bye:<identity>`` ends with its call."""

    def __init__(self, carrier: Carrier, caller: Caller, http: httpx.AsyncClient) -> None:
        self.url = ""
        """The address for ``LIVEKIT_API_URL``."""
        self.directory = Directory()
        self.calls: list[CalledTelephone] = []
        """The calls, in the order they were dialled."""
        self.transfers: list[str] = []
        """The targets of all transfer requests."""
        self.faults = FaultBook()
        self._carrier, self._caller, self._http = carrier, caller, http
        self._tasks: set[asyncio.Task[None]] = set()

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/twirp/{service}/{method}", self._answer, methods=["POST"]),
                Route("/control/faults", self._add_fault, methods=["POST"]),
                Route("/control/faults", self._clear_faults, methods=["DELETE"]),
                Route("/control/numbers/{number}", self._set_number, methods=["POST"]),
                Route("/control/sip", self._set_sip, methods=["POST"]),
                Route("/control/calls", self._show_calls),
            ]
        )

    async def end(self) -> None:
        """Hang up every telephone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, request: Request) -> Response:
        """Answer a request, under a fault if one applies."""
        method = request.path_params["method"]
        own = {"CreateSIPParticipant": self._create, "TransferSIPParticipant": self._transfer}.get(method)
        answer = self._forward if own is None else self._twirp(own)
        fault = self.faults.take("livekit", method, None).fault
        await request.body()  # read it now, so that a disconnect is noticed
        return await (answer(request) if fault is None else struck(fault, request, lambda: answer(request)))

    def _twirp(self, answer: Callable[[bytes], Awaitable[bytes]]) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            try:
                token = request.headers.get("authorization", "").removeprefix("Bearer ")
                check_grant(token, self._carrier.api_key, self._carrier.api_secret)
                if not self.directory.sip_is_there:
                    await asyncio.sleep(_NO_SIP_SECONDS)
                    raise NO_SIP
                body = await answer(await request.body())
            except TwirpError as error:
                return JSONResponse(error.body, error.status)
            return Response(body, media_type="application/protobuf")

        return answered

    async def _create(self, body: bytes) -> bytes:
        dial = read_dial(body)
        if dial.trunk_id:
            dial = dial.from_number(await self._carrier.number_of_trunk(dial.trunk_id))
        call = CalledTelephone(self._carrier, self._caller, dial, self.directory.find(dial.number))
        self.calls.append(call)
        line = await call.join()
        self._begin(call.run(line), f"called:{dial.identity}")
        if dial.waits:
            await call.settled.wait()
            if call.error is not None:
                raise call.error
        return participant_answer(dial, line.participant_sid, call.call_id)

    async def _transfer(self, body: bytes) -> bytes:
        refer = read_refer(body)
        line = self._carrier.lines.get((refer.room, refer.identity))
        if line is None or line.is_over:
            raise TwirpError("not_found", "participant does not exist")
        self.transfers.append(refer.to)
        destination = self.directory.find(refer.to)
        rings = destination.transfer != "refused"  # a network without REFER calls nobody
        if rings and (destination.outcome == "no_answer" or destination.after > refer.ringing_seconds):
            await line.over_within(refer.ringing_seconds)
            raise TwirpError("deadline_exceeded", "context deadline exceeded")
        await line.over_within(destination.after)
        answer = transfer_answer(destination.transfer, f"STF_{secrets.token_hex(6)}")
        if destination.transfer in ("accepted", "accepted_untold"):
            self._begin(_bye(line), f"bye:{refer.identity}")
        return answer

    async def _forward(self, request: Request) -> Response:
        """Forward a request unchanged to the server."""
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        path = request.url.path
        try:
            answer = await self._http.post(path, content=await request.body(), headers=headers)
        except httpx.TransportError:
            return Response(status_code=502)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    async def _set_number(self, request: Request) -> Response:
        """``POST /control/numbers/{number}``."""
        try:
            destination = load_destination(await request.body())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 422)
        self.directory.numbers[request.path_params["number"]] = destination
        return Response(status_code=204)

    async def _add_fault(self, request: Request) -> Response:
        """``POST /control/faults``."""
        try:
            fault = Fault.from_json(await _json(request))
            if fault.vendor != "livekit":
                raise BadFault("only LiveKit is here: order faults of other vendors at the sandbox")
            if fault.kind in NOT_HERE:
                raise BadFault(f"LiveKit's API has none of {NOT_HERE}: order drip or half_message")
        except BadFault as error:
            return JSONResponse({"error": str(error)}, 422)
        self.faults.add(fault)
        return JSONResponse({"vendor": fault.vendor, "kind": fault.kind}, 201)

    async def _clear_faults(self, _request: Request) -> Response:
        """``DELETE /control/faults``."""
        self.faults.clear()
        return Response(status_code=204)

    async def _set_sip(self, request: Request) -> Response:
        """``POST /control/sip``: whether a livekit-sip is available."""
        try:
            is_there = json.loads(await request.body())["is_there"]
        except (ValueError, LookupError, TypeError):
            return JSONResponse({"error": 'the body is {"is_there": true} or {"is_there": false}'}, 422)
        self.directory.sip_is_there = bool(is_there)
        return Response(status_code=204)

    async def _show_calls(self, _request: Request) -> Response:
        """``GET /control/calls``."""
        return JSONResponse({"calls": [call.described() for call in self.calls], "transfers": self.transfers})

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None  # not an object: whoever reads it raises the error


async def _bye(line: TelephoneLine) -> None:
    """End a transferred line: the far end hangs up, and if it does not, LiveKit SIP does."""
    await line.over_within(_BYE_AFTER_TRANSFER_SECONDS)
    await line.leave("transferred")


@asynccontextmanager
async def running_front(
    carrier: Carrier, speak: Speak, *, sandbox_url: str | None = None, port: int = 0
) -> AsyncIterator[SipFront]:
    """Serve until the context exits; called telephones speak with ``speak``."""
    server_url = carrier.url.replace("ws", "http", 1)
    async with (
        Caller(server_url, speak, sandbox_url=sandbox_url, telephone=TELEPHONE) as caller,
        httpx.AsyncClient(base_url=server_url, trust_env=False, verify=server_url.startswith("https:")) as http,
    ):
        front = SipFront(carrier, caller, http)
        async with serving(front.app(), port=port) as url:
            front.url = url
            try:
                yield front
            finally:
                await front.end()
