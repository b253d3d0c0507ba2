"""``voice-agent setup`` against a real livekit-server: trunks and rule are made, kept and changed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit import api

from app.cli.checks.findings import examine
from app.cli.checks.machine import clocks, compare_clocks
from app.cli.checks.telephony import telephony_checks
from app.cli.setup import set_up
from app.settings import Settings
from tests.cli.test_commands import run
from tests.room.servers import KEY, SECRET, LiveKitServer, livekit_server
from tests.test_settings import loaded

pytestmark = pytest.mark.room

PASSWORD = "a-carriers-password"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    with livekit_server(tmp_path_factory.mktemp("livekit")) as running:
        yield running


def wishes(server: LiveKitServer, **more: str) -> Settings:
    return loaded(
        {
            "LIVEKIT_URL": server.url,
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "SIP_NUMBER": "+74950000000",
            "SIP_ALLOWED_ADDRESSES": "203.0.113.7",
            "SIP_SERVER": "sip.example.org",
            "SIP_USERNAME": "883140000000001",
            "SIP_PASSWORD": PASSWORD,
            "LIVEKIT_SIP_URI": "sip:198.51.100.1:5060",
            "DOMAIN": "voice.example.org",
            **more,
        }
    )


@asynccontextmanager
async def telephony(server: LiveKitServer) -> AsyncIterator[api.sip_service.SipService]:
    async with api.LiveKitAPI(server.url, KEY, SECRET) as livekit:
        yield livekit.sip


async def test_trunks_and_rule_are_made_once_and_changed_when_the_settings_are(
    server: LiveKitServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await set_up(wishes(server), dry_run=True) == 0
    assert "inbound trunk call-in: would be created" in capsys.readouterr().out
    async with telephony(server) as sip:
        assert not (await sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items

    assert await set_up(wishes(server)) == 0
    output = capsys.readouterr().out
    assert [line for line in output.splitlines() if line.endswith(": created")] == [
        "inbound trunk call-in: created",
        "dispatch rule call-in: created",
        "outbound trunk call-out: created",
    ]
    assert "74950000000@198.51.100.1:5060" in output
    assert "https://voice.example.org/webhooks/livekit" in output
    async with telephony(server) as sip:
        [inbound] = (await sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items
        [rule] = (await sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())).items
        [outbound] = (await sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())).items
    assert (inbound.name, list(inbound.numbers), list(inbound.allowed_addresses)) == (
        "call-in", ["+74950000000"], ["203.0.113.7/32"],
    )  # fmt: skip
    assert list(rule.trunk_ids) == [inbound.sip_trunk_id]
    assert rule.rule.dispatch_rule_individual.room_prefix == "call"
    assert (rule.room_config.empty_timeout, rule.room_config.departure_timeout) == (60, 10)
    assert (outbound.name, outbound.address, outbound.from_host) == ("call-out", "sip.example.org", "sip.example.org")
    assert (outbound.auth_username, outbound.auth_password) == ("883140000000001", PASSWORD)

    assert await set_up(wishes(server)) == 0
    assert capsys.readouterr().out.count("is as it should be") == 3

    changed = wishes(server, SIP_ALLOWED_ADDRESSES="203.0.113.8", SIP_PASSWORD="another", SIP_SERVER="sip.example.net")
    assert await set_up(changed) == 0
    output += (changes := capsys.readouterr().out)
    assert "allowed_addresses: 203.0.113.7/32 -> 203.0.113.8/32" in changes
    assert "password: differs" in changes
    assert "dispatch rule call-in: is as it should be" in changes
    async with telephony(server) as sip:
        [inbound_now] = (await sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items
        [outbound_now] = (await sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())).items
    assert inbound_now.sip_trunk_id == inbound.sip_trunk_id
    assert list(inbound_now.allowed_addresses) == ["203.0.113.8/32"]
    assert (outbound_now.sip_trunk_id, outbound_now.auth_password, outbound_now.from_host) == (
        outbound.sip_trunk_id, "another", "sip.example.net",
    )  # fmt: skip
    assert not [secret for secret in (PASSWORD, "883140000000001", SECRET) if secret in output]


async def test_what_somebody_else_has_set_on_trunk_and_rule_stays(server: LiveKitServer) -> None:
    individual = api.SIPDispatchRule(dispatch_rule_individual=api.SIPDispatchRuleIndividual(room_prefix="old"))
    async with telephony(server) as sip:
        trunk = api.SIPInboundTrunkInfo(
            name="call-in", numbers=["+7499"], auth_username="carrier", auth_password="theirs", metadata="keep"
        )
        made = await sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=trunk))
        rule = api.SIPDispatchRuleInfo(
            name="call-in", trunk_ids=[made.sip_trunk_id], rule=individual, attributes={"va.language": "en"}
        )
        await sip.create_dispatch_rule(api.CreateSIPDispatchRuleRequest(dispatch_rule=rule))

    assert await set_up(wishes(server)) == 0

    async with telephony(server) as sip:
        [inbound] = (await sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items
        [dispatch] = (await sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())).items
    assert (inbound.sip_trunk_id, list(inbound.numbers)) == (made.sip_trunk_id, ["+74950000000"])
    assert (inbound.auth_username, inbound.auth_password, inbound.metadata) == ("carrier", "theirs", "keep")
    assert dict(dispatch.attributes) == {"va.language": "en"}
    assert dispatch.rule.dispatch_rule_individual.room_prefix == "call"


async def test_a_number_that_another_trunk_has_stops_everything(
    server: LiveKitServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with telephony(server) as sip:
        trunk = api.SIPInboundTrunkInfo(name="by hand", numbers=["74950000000"], allowed_addresses=["203.0.113.1"])
        await sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=trunk))

    assert await set_up(wishes(server)) == 1

    assert "by hand" in capsys.readouterr().out
    async with telephony(server) as sip:
        assert not (await sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())).items
        assert not (await sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())).items


async def test_a_wrong_secret_is_reported_as_such(server: LiveKitServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await set_up(wishes(server, LIVEKIT_API_SECRET="another-secret-of-more-than-32-characters")) == 1
    assert "does not know the key, or the secret is wrong" in capsys.readouterr().out


def test_the_command_prints_what_it_does_and_nothing_else(server: LiveKitServer, tmp_path: Path) -> None:
    variables = {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": KEY,
        "LIVEKIT_API_SECRET": SECRET,
        "SIP_NUMBER": "+74950000000",
    }
    refused = run(tmp_path, "setup", **variables)
    assert (refused.returncode, refused.stdout) == (2, "")
    tried = run(tmp_path, "setup", "--dry-run", "--force", **variables)
    forced = run(tmp_path, "setup", "--force", **variables)
    again = run(tmp_path, "setup", "--force", **variables)
    assert [(each.returncode, each.stderr) for each in (tried, forced, again)] == [(0, "")] * 3
    assert tried.stdout.startswith("inbound trunk call-in: would be created\n")
    assert forced.stdout.startswith("inbound trunk call-in: created\n")
    assert again.stdout.startswith("inbound trunk call-in: is as it should be\n")
    assert "! The inbound trunk is open to the whole internet, because of --force." in forced.stdout
    doctor = run(tmp_path, "doctor", **variables)
    assert doctor.returncode == 1
    assert "anyone on the internet can call at your cost" in " ".join(doctor.stdout.split())


async def test_the_doctor_finds_what_setup_made_and_what_it_did_not(server: LiveKitServer) -> None:
    before = await examine(telephony_checks(wishes(server)))
    assert [(finding.about, finding.grade) for finding in before] == [("LiveKit", "ok"), ("inbound trunk", "wrong")]
    assert await set_up(wishes(server)) == 0
    after = await examine(telephony_checks(wishes(server)))
    assert {finding.grade for finding in after} == {"ok"}
    assert [finding.about for finding in after] == ["LiveKit", "inbound trunk", "dispatch rule", "outbound trunk"]
    (wrong,) = await examine(telephony_checks(wishes(server, LIVEKIT_API_SECRET="another-secret-of-32-characters-x")))
    assert wrong.said == "does not know the key, or the secret is wrong"
    assert (await compare_clocks(clocks(wishes(server)))).grade == "ok"
