"""Entries of the registry for OpenAI and compatible servers: the Responses API and Chat Completions."""

from functools import partial
from typing import Literal

from app.clients.entry import ClientSetup, LlmEntry, key_of
from app.clients.openai.client import OpenAILLMClient, OpenAIOptions
from app.ports.vendors import LlmOptions


def _make(api: Literal["chat", "responses"], setup: ClientSetup, options: LlmOptions) -> OpenAILLMClient:
    settings = setup.settings
    effort = settings.llm_reasoning_effort
    return OpenAILLMClient(
        api_key=key_of(settings.openai_api_key),
        base_url=settings.openai_base_url,
        options=OpenAIOptions(
            model=options.model,
            api=api,
            reasoning_effort=None if effort == "unset" else effort,
            context_window_size=settings.context_window_size,
        ),
        prices=setup.prices,
        retry=setup.retry,
        observer=setup.observer,
    )


ENTRIES = (
    LlmEntry(
        "openai-responses",
        serves=lambda _model, settings: settings.openai_api == "responses",
        make=partial(_make, "responses"),
    ),
    LlmEntry("openai-chat", serves=lambda _model, settings: settings.openai_api == "chat", make=partial(_make, "chat")),
)
