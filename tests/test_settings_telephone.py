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


def test_humans_who_take_callers_over_have_a_name_and_an_address() -> None:
    given = settings(transfer_targets=" sales=+74950000000, отдел_кадров=sip:hr.1@pbx.example.org:5080;transport=tcp")

    assert settings().transfer_targets == {}
    assert given.transfer_targets == {
        "sales": "+74950000000",
        "отдел_кадров": "sip:hr.1@pbx.example.org:5080;transport=tcp",
    }


@pytest.mark.parametrize(
    "targets",
    [
        "+74950000000",
        "sales=",
        "=+74950000000",
        "sales=74950000000",
        "sales=+7495 0000000",
        "the sales=+74950000000",
        "sales=sip:example.org",
        "sales=sips:help@example.org",
        "sales=sip:a b@example.org",
        "sales=sip:help@example.org?Replaces=x",
        "sales=+74950000000;help=+74950000001",
        "sales=+74950000000,sales=+74950000001",
    ],
)
def test_nobody_else_is_let_onto_the_list(targets: str) -> None:
    with pytest.raises(SettingsError, match="TRANSFER_TARGETS") as caught:
        settings(transfer_targets=targets)
    assert "0000001" not in str(caught.value)
