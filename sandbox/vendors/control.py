"""The sandbox's control interface: scripts, faults, timings."""

import base64
import json
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.vendors.faults import BadFault, Fault
from sandbox.vendors.stage import BadScript, replies_from_json, utterances_from_json
from sandbox.vendors.wire import stage_of


async def add_utterances(request: Request) -> Response:
    """``POST /control/calls/{call_id}/utterances``: what the caller says next, one utterance or a list."""
    try:
        utterances = utterances_from_json(await _body(request))
    except BadScript as bad:
        return _bad(bad)
    sheet = stage_of(request).call(request.path_params["call_id"])
    sheet.expect(*utterances)
    return JSONResponse({"waiting": len(sheet.utterances)}, 201)


async def add_sound(request: Request) -> Response:
    """``POST /control/calls/{call_id}/sounds``: a sound that the caller is about to make.

    ``{"pcm": base64 of 16-bit samples, "sample_rate", "words": [[text, start, end], ...], "language"?}``; times in
    seconds. A sandbox that does not listen refuses it.
    """
    sounds, body = stage_of(request).sounds, await _body(request)
    if sounds is None:
        return _bad(ValueError("the sandbox goes by scripts; start it with --listens"))
    try:
        samples = np.frombuffer(base64.b64decode(body["pcm"]), "<i2").astype(np.int16)
        words, rate, language = body["words"], int(body["sample_rate"]), body.get("language")
        sounds.teach(request.path_params["call_id"], samples, rate, words, language)
    except (KeyError, TypeError, ValueError) as bad:
        return _bad(ValueError(f"not a sound: {bad}"))
    return JSONResponse({"seconds": len(samples) / rate}, 201)


async def add_replies(request: Request) -> Response:
    """``POST /control/calls/{call_id}/replies``: what the model answers next, one reply or a list."""
    try:
        replies = replies_from_json(await _body(request))
    except BadScript as bad:
        return _bad(bad)
    sheet = stage_of(request).call(request.path_params["call_id"])
    sheet.answer(*replies)
    return JSONResponse({"waiting": len(sheet.replies)}, 201)


async def show_call(request: Request) -> Response:
    """``GET /control/calls/{call_id}``: what the vendors sent and when, in loop seconds, and the rest of the script."""
    call_id = request.path_params["call_id"]
    stage = stage_of(request)
    sheet = stage.call(call_id)
    asked = [
        {"vendor": kept.vendor, "route": kept.route, "at": kept.at, "body": kept.body}
        for kept in stage.requests
        if kept.call_id == call_id
    ]
    left = {"utterances_left": len(sheet.utterances), "replies_left": len(sheet.replies)}
    return JSONResponse({"call_id": call_id, "timings": list(sheet.timings), "requests": asked, **left})


async def show_requests(request: Request) -> Response:
    """``GET /control/requests``: the number of requests to each vendor's routes."""
    counts: dict[str, dict[str, int]] = {}
    for (vendor, route), count in stage_of(request).counts.items():
        counts.setdefault(vendor, {})[route] = count
    return JSONResponse(counts)


async def add_fault(request: Request) -> Response:
    """``POST /control/faults``: see :class:`sandbox.vendors.faults.Fault`."""
    try:
        fault = Fault.from_json(await _body(request))
        if fault.vendor == "livekit":
            raise BadFault("LiveKit is not here: order its faults where sandbox/carrier/sip_front.py listens")
    except BadFault as bad:
        return _bad(bad)
    stage_of(request).faults.add(fault)
    return JSONResponse({"vendor": fault.vendor, "kind": fault.kind}, 201)


async def clear_faults(request: Request) -> Response:
    """``DELETE /control/faults``."""
    stage_of(request).faults.clear()
    return Response(status_code=204)


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None  # not an object: whoever reads it raises the error


def _bad(error: ValueError) -> Response:
    return JSONResponse({"error": str(error)}, 422)


ROUTES: list[BaseRoute] = [
    Route("/calls/{call_id}/utterances", add_utterances, methods=["POST"]),
    Route("/calls/{call_id}/sounds", add_sound, methods=["POST"]),
    Route("/calls/{call_id}/replies", add_replies, methods=["POST"]),
    Route("/calls/{call_id}", show_call),
    Route("/requests", show_requests),
    Route("/faults", add_fault, methods=["POST"]),
    Route("/faults", clear_faults, methods=["DELETE"]),
]
