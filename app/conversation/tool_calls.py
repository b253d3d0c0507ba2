"""The built-in tools as the model calls them: its arguments are a stranger's text."""

import json
import re
from typing import Any

from app.conversation import events as ev
from app.conversation.turns import Utterance

DIGITS_MAX = 32
"""The most keys of one utterance; further ones are dropped."""
_NO_KEY = re.compile(r"[^0-9*#A-Dw]")


def note_tool_call(speech: Utterance, event: ev.AgentToolCalled) -> None:
    """What is to be done after the last word of the utterance. Tools of other names do nothing here."""
    match event.name:
        case "end_call":
            speech.ends_call = "agent_hangup"
        case "transfer":
            speech.hands_over_to = _text(event.arguments, "target")
        case "send_dtmf":
            keys = _NO_KEY.sub("", _text(event.arguments, "digits").upper().replace("W", "w"))
            speech.digits = (speech.digits + keys)[:DIGITS_MAX]
        case _:
            return


def forget_tool_calls(speech: Utterance) -> None:
    """The answer is written anew."""
    speech.ends_call, speech.hands_over_to, speech.digits = None, None, ""
    speech.tools.clear()


def _text(arguments: str, name: str) -> str:
    """A text among the arguments; empty when it is none, or they are no JSON object."""
    try:
        values: Any = json.loads(arguments)
    except ValueError:
        return ""
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, str) else ""
