"""Checks whether the three vendors accept our keys, with one free authenticated request each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import SecretStr

from app.cli.checks.findings import Check, Finding, Grade, why
from app.clients.cartesia.messages import API_VERSION
from app.clients.deepgram.messages import rest_url
from app.clients.tls import tls_context
from app.settings import Settings

_SECONDS = 8.0
_REGION = "unsupported_country_region_territory"


@dataclass(frozen=True, slots=True)
class Question:
    """The request to a vendor."""

    name: str
    setting: str
    """The prefix of its settings."""
    url: str
    headers: Mapping[str, str]
    wanted: str
    """What a 404 means is missing."""
    model: str = ""
    """A model that must be in the list of the response."""


def vendor_checks(settings: Settings) -> list[Check]:
    """A check for each vendor; a single one if the sandbox stands in for them."""
    if not settings.uses_live_vendors:

        async def sandbox() -> Sequence[Finding]:
            said = "the sandbox stands in for Deepgram, OpenAI and Cartesia: voices and words are invented"
            return [Finding("vendors", "warning", said, "Set the three keys for real calls.")]

        return [Check("vendors", sandbox)]
    return [_check(question) for question in questions(settings)]


def questions(settings: Settings) -> tuple[Question, ...]:
    """https://developers.deepgram.com/docs/authenticating, https://platform.openai.com/docs/api-reference/models/list,
    https://docs.cartesia.ai/api-reference/voices/get."""
    voice = "en" if settings.language == "en" else "ru"
    return (
        Question(
            "Deepgram",
            "DEEPGRAM",
            f"{rest_url(settings.deepgram_base_url)}/v1/auth/token",
            {"Authorization": f"Token {_value(settings.deepgram_api_key)}"},
            "this address: a self-hosted server may not have it",
        ),
        Question(
            "OpenAI",
            "OPENAI",
            f"{settings.openai_base_url}/models",
            {"Authorization": f"Bearer {_value(settings.openai_api_key)}"},
            "a list of models: a compatible server may not have one",
            model=settings.llm_model,
        ),
        Question(
            "Cartesia",
            "CARTESIA",
            f"{settings.cartesia_base_url}/voices/{settings.tts_voice_en if voice == 'en' else settings.tts_voice_ru}",
            {"Authorization": f"Bearer {_value(settings.cartesia_api_key)}", "Cartesia-Version": API_VERSION},
            f"the voice of TTS_VOICE_{voice.upper()}",
        ),
    )


def judge(question: Question, status: int, answer: Any) -> Finding:
    """The finding for a vendor's response. ``answer`` is its JSON, None if it has none."""
    if status == HTTPStatus.OK:
        return _model_found(question, answer)
    base_url = f"{question.setting}_BASE_URL"
    means: dict[int, tuple[Grade, str, str]] = {
        401: ("wrong", "does not know the key", f"Copy {question.setting}_API_KEY from its console again."),
        402: ("wrong", "has no credit left", "Add credit at its console: until then no call is possible."),
        403: (
            "wrong",
            "refuses: the key may not do this, or requests from this machine's country are blocked",
            f"Check the key's rights; {base_url} sets another server.",
        ),
        404: ("warning", f"answers, but does not have {question.wanted}", f"Check {base_url}."),
        429: ("warning", "accepts the key, but there were too many requests", "Check its limits."),
    }
    if status == HTTPStatus.FORBIDDEN and _REGION in str(answer):
        advice = f"Run the service in a country that it serves, or set {base_url} to another server."
        return Finding(question.name, "wrong", "does not serve the country of this machine's address", advice)
    unknown: tuple[Grade, str, str] = ("wrong", f"answers with HTTP {status}", "See its status page, or try later.")
    return Finding(question.name, *means.get(status, unknown))


def _model_found(question: Question, answer: Any) -> Finding:
    listed = answer.get("data") if isinstance(answer, dict) else None
    if question.model and isinstance(listed, list):
        models = {model.get("id") for model in listed if isinstance(model, dict)}
        if question.model not in models:
            said = f"accepts the key, but LLM_MODEL={question.model} is not in its list of models"
            return Finding(question.name, "wrong", said, "Choose a model that the key may use.")
    return Finding(question.name, "ok", "accepts the key")


def _check(question: Question) -> Check:
    async def look() -> Sequence[Finding]:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, verify=tls_context()) as http:
            try:
                response = await http.get(question.url, headers=dict(question.headers))
            except httpx.HTTPError as error:
                return [Finding(question.name, "wrong", f"cannot be reached: {type(error).__name__}", why(error))]
        try:
            answer = response.json()
        except ValueError:
            answer = None
        return [judge(question, response.status_code, answer)]

    return Check(question.name, look)


def _value(key: SecretStr | None) -> str:
    return key.get_secret_value() if key is not None else ""
