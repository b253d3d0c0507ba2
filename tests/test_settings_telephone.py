from typing import Any

import pytest

from app.errors import SettingsError
from app.settings import Settings

LIVEKIT = {"livekit_url": "wss://livekit.example.org", "livekit_api_key": "key", "livekit_api_secret": "hush"}


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not


def test_telephone_calls_need_a_key_and_its_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        settings(livekit_url="wss://livekit.example.org")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]


def test_webhooks_are_signed_with_the_key_of_the_service_unless_told_otherwise() -> None:
    assert settings().livekit_webhook_secrets == {}
    assert settings(**LIVEKIT).livekit_webhook_secrets == {"key": "hush"}
    others = settings(**LIVEKIT, livekit_webhook_keys="old:one, new:a:b")
    assert others.livekit_webhook_secrets == {"old": "one", "new": "a:b"}


@pytest.mark.parametrize("keys", ["key", "key:", ":secret", "key:secret,"])
def test_keys_of_webhooks_are_pairs(keys: str) -> None:
    with pytest.raises(SettingsError, match="LIVEKIT_WEBHOOK_KEYS") as caught:
        settings(**LIVEKIT, livekit_webhook_keys=keys)
    assert "secret" not in str(caught.value).replace("key:secret, several", "")
