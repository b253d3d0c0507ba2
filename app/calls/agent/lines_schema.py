"""The parts of an agent's file that are texts to be said."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _option(line: str) -> str:
    if "{key}" not in line or "{label}" not in line:
        raise ValueError("needs {key} and {label}, which stand for the key and for what it does")
    return line


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=10)]


class LinesShape(BaseModel):
    """Any of the prepared lines (:class:`app.conversation.policy.Lines`). What is said first has keys of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    repeat: Text | None = None
    keypad: Text | None = None
    idle: Texts | None = None
    fillers: Texts | None = None
    long_wait: Texts | None = None
    apology: Text | None = None
    cut_off: Text | None = None
    deaf: Text | None = None
    transfer: Text | None = None
    transfer_failed: Text | None = None
    goodbye: Text | None = None
    silence_goodbye: Text | None = None
    limit_goodbye: Text | None = None
    failure_goodbye: Text | None = None
    shutdown_goodbye: Text | None = None
    refused: Text | None = None
    stalled: Text | None = None
    stalled_goodbye: Text | None = None
    unserved: Text | None = None
    message: Text | None = None
    message_again: Text | None = None
    message_more: Text | None = None
    message_thanks: Text | None = None
    consent: Text | None = None
    not_recorded: Text | None = None
    reconnected: Text | None = None
    reconnected_repeat: Text | None = None
    keypad_option: Annotated[Text, AfterValidator(_option)] | None = None
    keypad_human: Text | None = None
