"""Entries of the registry for OpenAI and compatible servers: the Responses API and Chat Completions."""

from functools import partial
from typing import Literal

from pydantic import SecretStr

from app.clients.entry import ClientSetup, LlmEntry, key_of
from app.clients.openai.client import OpenAILLMClient, OpenAIOptions
from app.clients.openai.events import PROVIDER
from app.ports.vendors import LlmOptions

ENDPOINT = "openai-fallback"
"""The entry of the second endpoint."""


def _make(api: Literal["chat", "responses"], setup: ClientSetup, options: LlmOptions) -> OpenAILLMClient:
    settings = setup.settings
    return _client(api, setup, options, PROVIDER, settings.openai_base_url, settings.openai_api_key)


def _make_endpoint(setup: ClientSetup, options: LlmOptions) -> OpenAILLMClient:
    """The second endpoint, by the API that compatible servers have. Call it only with its address set."""
    settings = setup.settings
    base_url = settings.llm_fallback_base_url or settings.openai_base_url
    return _client("chat", setup, options, ENDPOINT, base_url, settings.llm_fallback_api_key)


def _client(
    api: Literal["chat", "responses"],
    setup: ClientSetup,
    options: LlmOptions,
    provider: str,
    base_url: str,
    key: SecretStr | None,
) -> OpenAILLMClient:
    settings = setup.settings
    effort = settings.llm_reasoning_effort
    client = OpenAILLMClient(
        api_key=key_of(key),
        base_url=base_url,
        options=OpenAIOptions(
            model=options.model,
            api=api,
            reasoning_effort=None if effort == "unset" else effort,
            context_window_size=settings.context_window_size,
        ),
        prices=setup.prices,
        retry=setup.retry,
        observer=setup.observer,
        limiter=setup.limiters.of(f"{provider} {options.model}", provider),  # OpenAI limits each model by itself
    )
    client.provider = provider
    return client


ENTRIES = (
    LlmEntry(
        "openai-responses",
        serves=lambda _model, settings: settings.openai_api == "responses",
        make=partial(_make, "responses"),
    ),
    LlmEntry("openai-chat", serves=lambda _model, settings: settings.openai_api == "chat", make=partial(_make, "chat")),
    LlmEntry(ENDPOINT, serves=lambda _model, _settings: False, make=_make_endpoint),
)
