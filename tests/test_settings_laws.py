"""Whatever the environment holds, the settings load, or every variable that is wrong is named and no secret told."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.errors import SettingsError
from app.settings import Settings, setting_names
from tests.support.env_example import environment_names
from tests.test_settings import loaded, named, problems

NAMES = {environment_names(key, field)[0]: field for key, field in Settings.model_fields.items()}
SECRET_NAMES = {name for name, field in NAMES.items() if "SecretStr" in str(field.annotation)}
MARK = "hush-hush"
MAY_BE_MISSING = {
    "API_KEY", "DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET",
    "WEBHOOK_SECRET",
}  # fmt: skip
TELLING = re.findall(
    r"\S+",
    """
    0 1 -1 0.5 1e400 nan inf true none null [] {} {"a":1} , a:b a=b,c=d .. / ::1 0.0.0.0
    production development live sandbox ru en multi debug chat
    https://a.example.org/v1 ws://a:1 wss://[ http://a:99999 https:// sip:a.example.org:5060 a.example.org:5060
    +74950000000 7495 203.0.113.7 203.0.113.0/24,0.0.0.0/0 203.0.113.7/24 sales=+74950000000
    """,
)


def values() -> SearchStrategy[str]:
    """What a process may find in a variable: any bytes but a zero, those that are no text in UTF-8 too."""
    anything = st.binary(max_size=40).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
    return (
        st.sampled_from(["", " ", "9" * 400, *TELLING])
        | anything
        | st.text(st.characters(exclude_characters="\0", codec="utf-8"))
    )


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    """Some variables; the value of a secret is marked."""
    names = draw(st.lists(st.sampled_from(sorted(NAMES)), unique=True, max_size=8))
    return {name: (MARK if name in SECRET_NAMES else "") + draw(values()) for name in names}


@examples(max_examples=150)
@given(environments())
def test_settings_load_or_complain_about_what_there_is_and_what_is_missing(variables: dict[str, str]) -> None:
    lines = problems(variables)
    assert {line.partition(": ")[0] for line in lines} <= set(variables) | MAY_BE_MISSING
    assert all(line.partition(": ")[2] for line in lines), "each line says what is wrong"
    assert MARK not in "".join(lines)


@examples(max_examples=60)
@given(environments())
def test_what_is_wrong_alone_is_named_among_others(variables: dict[str, str]) -> None:
    wrong = {name for name, value in variables.items() if name in named({name: value}) - MAY_BE_MISSING}
    assert wrong <= named(variables)


@pytest.mark.parametrize("name", sorted(SECRET_NAMES))
def test_bytes_that_are_no_text_are_refused_or_kept_without_being_told(name: str) -> None:
    assert named({name: os.fsdecode(b"hush\xff")}) <= {name} | MAY_BE_MISSING
    assert "hush" not in "".join(problems({name: os.fsdecode(b"hush\xff")}))


def test_the_secrets_are_those_that_one_thinks_of() -> None:
    assert {name for name in NAMES if name.endswith(("_SECRET", "_PASSWORD", "_TOKEN"))} <= SECRET_NAMES
    assert {"API_KEY", "DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY", "DATABASE_URL"} <= SECRET_NAMES
    assert set(NAMES) <= setting_names()


def told(folder: Path, content: bytes) -> str:
    """What a file is refused with."""
    file = folder / ".env"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        loaded({}, file)
    return str(caught.value)


def test_a_file_that_is_not_a_text_is_reported(tmp_path: Path) -> None:
    assert "is not UTF-8 text" in told(tmp_path, "GREETING=Привет\nAPI_KEY=hush".encode("cp1251"))
    assert "hush" not in told(tmp_path, "GREETING=Привет\nAPI_KEY=hush".encode("cp1251"))


SIP: Mapping[str, tuple[str, str | None]] = {
    "SIP_NUMBER": ("+7 (495) 000-00-00", "my number"),
    "SIP_SERVER": ("sip.example.org:5070", "sip:sip.example.org"),
    "SIP_ALLOWED_ADDRESSES": ("203.0.113.7, 198.51.100.0/24", "203.0.113.7/24"),
    "LIVEKIT_SIP_URI": ("abc.sip.livekit.cloud", "https://abc.sip.livekit.cloud"),
    "PUBLIC_IP": ("203.0.113.7", "2001:db8::1"),
    "DOMAIN": ("voice.example.org", "https://voice.example.org"),
    "LIVEKIT_URL": ("wss://livekit.example.org", "livekit.example.org"),
}


@pytest.mark.parametrize("name", SIP)
def test_an_address_of_another_form_is_refused_with_an_example(name: str) -> None:
    good, bad = SIP[name]
    assert name not in named({name: good})
    (line,) = [each for each in problems({name: bad or ""}) if each.startswith(name)]
    assert "such as" in line or "begins with" in line or "with its country" in line


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, None),
        ({"PUBLIC_IP": "203.0.113.7"}, "sip:203.0.113.7:5060"),
        ({"LIVEKIT_SIP_URI": "abc.sip.livekit.cloud", "PUBLIC_IP": "203.0.113.7"}, "sip:abc.sip.livekit.cloud"),
        ({"LIVEKIT_SIP_URI": "sip:203.0.113.7:5070;transport=tcp"}, "sip:203.0.113.7:5070;transport=tcp"),
    ],
)
def test_the_carrier_is_told_the_address_that_is_set_or_that_of_the_machine(
    variables: dict[str, str], address: str | None
) -> None:
    assert loaded(variables).sip_address == address
