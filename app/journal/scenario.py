"""Makes a test of a call: its caller's words, their timing and where their sound is, and the answers of its tools.

The file holds what a caller said. It is personal data of the call from then on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from app.journal.comparison import exchanges
from app.journal.record import call_record
from app.models import JournalRow

_SILENCE_SECONDS = 3.0
"""A pause of the caller from this length on is a step of its own."""
_MARGIN_SECONDS = 0.15
"""Of sound before and after the caller's words: the first and the last letter are quiet."""
_KEYPAD = "[keypad] "
_UNREACHABLE = 504
_WIDTH = 120
_HUNG_UP = "caller_hangup"
_SPOKE = ("acknowledgement", "not_interruptible")
"""Why words of the caller are ignored that they said to the agent."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the caller's sound, in seconds since the call was answered, as in its recording."""

    name: str
    """The file's name."""
    begins: float
    ends: float


class RecordedCall:
    """A call as a test. Raises ValueError if nothing was said in it."""

    def __init__(self, call_id: str, rows: Sequence[JournalRow]) -> None:
        self._call_id = call_id
        self._rows = rows
        self._lines = list(_Caller().lines(rows))
        if not self._lines:
            raise ValueError("the caller said nothing, so there is nothing to test")

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Where the caller's sound is, for each line that has some."""
        return tuple(line.piece for line in self._lines if line.piece is not None)

    def written(self, sounds: Mapping[Piece, str] | None = None) -> str:
        """The file of tests, with the paths of the pieces of sound that there are."""
        record, created = call_record(self._rows), self._rows[0].data
        agent = created.get("agent") or {}
        lines = [line.written(sounds or {}) for line in self._lines]
        hangs_up = [{"hang_up": True}] if record.end_reason == _HUNG_UP else []
        scenario = {
            "name": self._call_id,
            "caller": {"lines": lines + hangs_up},
            "expect": list(_expectations(self._rows, record.end_reason)),
            "recorded": [each.as_written() for each in exchanges(self._rows)],
        }
        head = {"agent": agent.get("name"), "language": created.get("language"), "now": self._rows[0].at}
        tools = _tools(self._rows)
        return _written({**head, **({"tools": tools} if tools else {}), "scenarios": [scenario]})


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the scenario, and where its sound is."""

    step: Any
    piece: Piece | None = None

    def written(self, sounds: Mapping[Piece, str]) -> Any:
        path = None if self.piece is None else sounds.get(self.piece)
        if path is None:
            return self.step
        step = {"say": self.step} if isinstance(self.step, str) else self.step
        return {**step, "sound": path}


class _Caller:
    """Goes through the rows once, and finds what the caller does."""

    def __init__(self) -> None:
        self._answered_t = 0.0
        self._began: dict[int, float] = {}
        """When utterances began that have not ended."""
        self._ended_t: float | None = None
        self._cut_at: float | None = None
        """When the utterance began that was cut short."""
        self._sound: tuple[float, float] | None = None
        """The caller's last sound."""
        self._words = ""
        self._keys = ""
        """The keys that they have pressed since their last turn."""
        self._number = 0

    def lines(self, rows: Sequence[JournalRow]) -> Iterator[_Line]:
        for row in rows:
            match row.type:
                case "call.answered":
                    since = row.data.get("since_t")
                    self._answered_t = row.t if since is None else since
                case "turn.taken":
                    yield from self._turn(row)
                case "caller.ignored" if row.data["reason"] in _SPOKE:
                    yield from self._ignored()
                case _:
                    self._note(row)

    def _note(self, row: JournalRow) -> None:
        match row.type:
            case "agent.reply_started":
                self._began[row.data["speech"]] = row.t
            case "agent.interrupted":
                began = self._began.pop(row.data["speech"], None)
                if began is not None:
                    self._ended_t, self._cut_at = row.t, began
            case "agent.finished":
                self._began.pop(row.data["speech"], None)
                self._ended_t = row.t
            case "caller.sound_started":
                self._sound = row.data["since_t"], row.t
            case "caller.sound_stopped" if self._sound is not None:
                self._sound = self._sound[0], row.data["last_voiced_t"]
            case "caller.dtmf":
                self._keys += row.data["digit"]
            case "caller.words" | "caller.turn_ended":
                self._words = row.data["text"]
            case _:
                pass

    def _turn(self, row: JournalRow) -> Iterator[_Line]:
        started, ended, text = row.data["started_t"], row.data["ended_t"], row.data["text"]
        is_keys = text.startswith(_KEYPAD)
        piece = None if is_keys or row.data["source"] == "typed" else self._piece(started, ended)
        if self._cut_at is not None and not is_keys:
            yield _Line({"over": text, "after": round(max(0.0, started - self._cut_at), 2)}, piece)
        else:
            pause = None if self._ended_t is None else round(started - self._ended_t, 2)
            if pause is not None and pause >= _SILENCE_SECONDS:
                yield _Line({"silence": round(pause, 1)})
            if is_keys:
                yield _Line({"press": self._keys or text.removeprefix(_KEYPAD) + "#"})
            else:
                timed = pause is not None and 0 <= pause < _SILENCE_SECONDS
                yield _Line({"say": text, "pause": pause} if timed else text, piece)
        self._ended_t, self._cut_at, self._words, self._keys = None, None, "", ""

    def _ignored(self) -> Iterator[_Line]:
        """A word of attention over the agent, who goes on."""
        began = max(self._began.values(), default=None)
        words, self._words = self._words, ""
        if self._sound is None or began is None or not words:
            return
        after = round(max(0.0, self._sound[0] - began), 2)
        yield _Line({"over": words, "after": after, "optional": True}, self._piece(*self._sound))

    def _piece(self, begins: float, ends: float) -> Piece:
        self._number += 1
        begin = max(0.0, begins - self._answered_t - _MARGIN_SECONDS)
        return Piece(f"{self._number:02}.wav", round(begin, 3), round(ends - self._answered_t + _MARGIN_SECONDS, 3))


def _tools(rows: Sequence[JournalRow]) -> dict[str, list[dict[str, Any]]]:
    """What each tool answered to which arguments, in the order of the call.

    A call that was given up and made again, because the caller went on, counts once.
    """
    called = {row.data["id"]: row.data for row in rows if row.type == "agent.tool_called"}
    answers: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        call = called.get(row.data.get("id")) if row.type == "agent.tool_finished" else None
        if call is not None and not call.get("refused"):
            answers.setdefault(row.data["name"], []).append(_answer(call["arguments"], row.data))
    return {name: list(_made_once(given)) for name, given in answers.items()}


def _made_once(given: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for place, answer in enumerate(given):
        is_given_up = answer.get("status") == _UNREACHABLE and not answer["answer"]
        if not is_given_up or all(later["when"] != answer["when"] for later in given[place + 1 :]):
            yield answer


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
