"""Makes a test of a call: its caller's words and their timing, and the answers of its tools, as a file of tests.

The file holds what a caller said. It is personal data of the call from then on.
"""

import json
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from app.journal.record import call_record
from app.models import JournalRow

_SILENCE_SECONDS = 3.0
"""A pause of the caller from this length on is a step of its own."""
_KEYPAD = "[keypad] "
_UNREACHABLE = 504
_WIDTH = 120
_HUNG_UP = "caller_hangup"


def recorded_test(call_id: str, rows: Sequence[JournalRow]) -> str:
    """The file of tests with one scenario, which holds that call again. Raises ValueError if nothing was said in it."""
    lines = list(_lines(rows))
    if not lines:
        raise ValueError("the caller said nothing, so there is nothing to test")
    record, created = call_record(rows), rows[0].data
    agent = created.get("agent") or {}
    hangs_up = record.end_reason == _HUNG_UP
    caller = {"lines": lines + ([{"hang_up": True}] if hangs_up else [])}
    scenario = {"name": call_id, "caller": caller, "expect": list(_expectations(rows, record.end_reason))}
    head = {"agent": agent.get("name"), "language": created.get("language"), "now": rows[0].at}
    tools = _tools(rows)
    return _written({**head, **({"tools": tools} if tools else {}), "scenarios": [scenario]})


def _lines(rows: Sequence[JournalRow]) -> Iterator[Any]:
    """What the caller does, as the lines of a scenario."""
    began: dict[int, float] = {}
    ended_t, cut_at = None, None
    for row in rows:
        match row.type:
            case "agent.reply_started":
                began[row.data["speech"]] = row.t
            case "agent.interrupted" if row.data["speech"] in began:
                ended_t, cut_at = row.t, began[row.data["speech"]]
            case "agent.finished":
                ended_t = row.t
            case "turn.taken":
                started, text = row.data["started_t"], row.data["text"]
                if cut_at is not None:
                    yield {"over": text, "after": round(max(0.0, started - cut_at), 2)}
                else:
                    if ended_t is not None and started - ended_t >= _SILENCE_SECONDS:
                        yield {"silence": round(started - ended_t, 1)}
                    yield _keys_or_words(text)
                ended_t, cut_at = None, None
            case _:
                pass


def _keys_or_words(text: str) -> Any:
    return {"press": text.removeprefix(_KEYPAD) + "#"} if text.startswith(_KEYPAD) else text


def _tools(rows: Sequence[JournalRow]) -> dict[str, list[dict[str, Any]]]:
    """What each tool answered to which arguments, in the order of the call."""
    called = {row.data["id"]: row.data for row in rows if row.type == "agent.tool_called"}
    answers: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        call = called.get(row.data.get("id")) if row.type == "agent.tool_finished" else None
        if call is not None and not call.get("refused"):
            answers.setdefault(row.data["name"], []).append(_answer(call["arguments"], row.data))
    return answers


def _answer(arguments: str, finished: dict[str, Any]) -> dict[str, Any]:
    result = _json(finished["result"])
    if finished["ok"]:
        return {"when": _json(arguments), "answer": result}
    status = finished.get("status") or _UNREACHABLE
    answer = result.get("answer", "") if isinstance(result, dict) else ""
    return {"when": _json(arguments), "answer": answer, "status": status}


def _expectations(rows: Sequence[JournalRow], end_reason: str | None) -> Iterator[dict[str, Any]]:
    """That the same tools are called, and that the call ends in the same way."""
    seen: list[dict[str, Any]] = []
    for row in rows:
        if row.type == "agent.tool_called" and not row.data.get("refused"):
            expected = {"tool": row.data["name"], "arguments": _json(row.data["arguments"])}
            if expected not in seen:
                seen.append(expected)
    yield from seen
    yield {"end_reason": end_reason or _HUNG_UP}


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _written(document: dict[str, Any]) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # its stub knows no bool here
    yaml.allow_unicode = True
    yaml.width = _WIDTH
    out = StringIO()
    yaml.dump(document, out)
    return out.getvalue()
