"""``/calls/simulated``: calls by a simulated caller, for an operator who wants to hear an agent at work.

The caller calls the running service over its own websocket. With real vendors eSpeak NG speaks for the caller, and the
real recogniser hears it; in the sandbox, which recognises nothing, the caller also tells the stand-ins the words.
"""

from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request

from app.clients.simulated_caller import sandbox_of
from routers.auditing import WITH_KEY, made_call
from routers.dependencies import TheServices
from routers.simulated_schemas import CallerScore, CallerScores, SimulatedCall, SimulatedCallRequest

router = APIRouter(prefix="/calls/simulated", dependencies=WITH_KEY, tags=["calls"])


@router.get("")
async def list_scores(services: TheServices) -> CallerScores:
    """List what a simulated caller can do."""
    scores = [
        CallerScore(name=each.name, language=each.language, about=each.about)
        for each in await services.simulated.scores()
    ]
    return CallerScores(scores=scores, limit=services.simulated.limit)


@router.post("", status_code=HTTPStatus.CREATED)
async def place_simulated_call(wanted: SimulatedCallRequest, services: TheServices, request: Request) -> SimulatedCall:
    """Have a simulated caller call. Answers when the call has begun."""
    admission = services.dispatcher.admission
    agent = admission.wanted_agent(wanted.agent, wanted.variables)
    await admission.check()
    await admission.check_spending(agent)
    call_id = await services.simulated.place(
        wanted.score,
        door=_own_door(request),
        sandbox=sandbox_of(services.settings),
        agent=wanted.agent,
        variables=wanted.variables,
    )
    made_call(request, call_id)
    return SimulatedCall(call_id=call_id)


def _own_door(request: Request) -> str:
    """The media address on this machine: where this request came in, behind whatever proxy. Raises HTTPException."""
    host, port = request.scope["server"]
    if port is None:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the service does not listen on a TCP port")
    return f"ws://{f'[{host}]' if ':' in host else host}:{port}/media"
