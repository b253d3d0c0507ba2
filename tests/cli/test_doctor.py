"""``voice-agent doctor``: vendors in the sandbox, and servers of this machine that are as they should not be."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.cli.checks.doors import door_checks, try_sip, try_webhook
from app.cli.checks.findings import Check, Finding, examine
from app.cli.checks.machine import compare_clocks, judge_clock, judge_room, look_at_folder, open_database
from app.cli.checks.sip_options import host_and_port
from app.cli.checks.vendors import vendor_checks
from app.cli.doctor import of_keys, table
from app.clock import utc_now
from app.main import create_app
from app.settings import Settings
from app.storage.database import migrate
from sandbox.running import RunningSandbox, running_sandbox, serving
from sandbox.vendors.faults import Fault
from tests.cli.test_commands import run
from tests.support.webhooks import KEY
from tests.test_settings import loaded

SECRET = "a-secret-of-more-than-32-characters-for-tests"
VENDOR_KEYS = {"DEEPGRAM_API_KEY": "dg-secret", "OPENAI_API_KEY": "oa-secret", "CARTESIA_API_KEY": "ca-secret"}


def graded(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(finding.about, finding.grade) for finding in findings]


def asks_sandbox(sandbox: RunningSandbox, **more: str) -> Settings:
    addresses = {
        "DEEPGRAM_BASE_URL": sandbox.deepgram_base_url,
        "OPENAI_BASE_URL": sandbox.openai_base_url,
        "CARTESIA_BASE_URL": sandbox.cartesia_base_url,
    }
    return loaded({**VENDOR_KEYS, **addresses, **more})


async def test_keys_that_the_vendors_take_are_good() -> None:
    async with running_sandbox() as sandbox:
        findings = await examine(vendor_checks(asks_sandbox(sandbox)))
    assert graded(findings) == [("Deepgram", "ok"), ("OpenAI", "ok"), ("Cartesia", "ok")]
    assert dict(sandbox.stage.counts) == {
        ("deepgram", "v1/auth/token"): 1,
        ("openai", "models"): 1,
        ("cartesia", "voices/id"): 1,
    }


async def test_an_unknown_key_is_reported_without_the_key() -> None:
    async with running_sandbox() as sandbox:
        for fault in (Fault("deepgram", "unauthorized"), Fault("cartesia", "unauthorized")):
            sandbox.stage.faults.add(fault)
        sandbox.stage.faults.add(Fault("openai", "unauthorized", route="models"))
        findings = await examine(vendor_checks(asks_sandbox(sandbox)))
    assert graded(findings) == [("Deepgram", "wrong"), ("OpenAI", "wrong"), ("Cartesia", "wrong")]
    assert all("Copy " in finding.advice for finding in findings)
    assert not [key for key in VENDOR_KEYS.values() if key in str(findings)]


async def test_a_model_that_the_key_may_not_use_is_reported() -> None:
    async with running_sandbox() as sandbox:
        findings = await examine(vendor_checks(asks_sandbox(sandbox, LLM_MODEL="gpt-0")))
    assert [finding.said for finding in findings if finding.grade == "wrong"] == [
        "accepts the key, but LLM_MODEL=gpt-0 is not in its list of models"
    ]


@pytest.mark.parametrize(
    ("status", "body", "grade", "said"),
    [
        (403, {"error": {"code": "unsupported_country_region_territory"}}, "wrong", "the country of this machine"),
        (403, {}, "wrong", "blocked"),
        (402, {}, "wrong", "no credit"),
        (404, {}, "warning", "a list of models"),
        (429, {}, "warning", "too many requests"),
        (500, {}, "wrong", "HTTP 500"),
        (200, {"data": None}, "ok", "accepts the key"),
        (200, [], "ok", "accepts the key"),
    ],
)
async def test_a_vendors_answer_is_reported_in_plain_words(status: int, body: object, grade: str, said: str) -> None:
    async with answering(lambda _request: JSONResponse(body, status)) as url:
        settings = loaded({**VENDOR_KEYS, "OPENAI_BASE_URL": url})
        (finding,) = await examine([check for check in vendor_checks(settings) if check.about == "OpenAI"])
    assert (finding.about, finding.grade) == ("OpenAI", grade)
    assert said in finding.said


async def test_unreachable_vendors_are_reported_with_the_reason() -> None:
    nowhere = {f"{name}_BASE_URL": "http://127.0.0.1:1" for name in ("DEEPGRAM", "OPENAI", "CARTESIA")}
    findings = await examine(vendor_checks(loaded({**VENDOR_KEYS, **nowhere})))
    assert {finding.advice for finding in findings} == {"Nothing listens there. Is the server running?"}


async def test_the_sandbox_is_reported_and_gets_no_requests() -> None:
    findings = await examine(vendor_checks(loaded({})))
    assert graded(findings) == [("vendors", "warning")]


@asynccontextmanager
async def answering(answer: Callable[[Request], Response]) -> AsyncIterator[str]:
    """A server that answers every request so."""
    routes = [Route("/{path:path}", answer, methods=["GET", "HEAD", "POST"])]
    async with serving(Starlette(routes=routes)) as url:
        yield url


@asynccontextmanager
async def service(folder: Path, **more: str) -> AsyncIterator[str]:
    """Our own, taking webhooks."""
    nowhere = {f"{name}_BASE_URL": "http://127.0.0.1:1" for name in ("DEEPGRAM", "OPENAI", "CARTESIA")}
    livekit = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
    app = create_app(loaded({"PROVIDERS": "sandbox", "DATA_DIR": str(folder), **nowhere, **livekit, **more}))
    async with app.router.lifespan_context(app), serving(app) as url:
        yield f"{url}/webhooks/livekit"


async def test_a_webhook_is_taken_by_the_service_that_knows_the_secret(tmp_path: Path) -> None:
    async with service(tmp_path) as url:
        good = await try_webhook(url, KEY, SECRET)
        other = await try_webhook(url, KEY, "another-secret-of-more-than-32-characters")
    assert (good.grade, other.grade) == ("ok", "wrong")
    assert "a different key or secret" in other.said
    assert SECRET not in str(good)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "another program answers"),
        (502, "the proxy does not reach the service"),
        (503, "accepts no telephone calls"),
        (200, "forged"),
        (301, "not from this service"),
    ],
)
async def test_a_proxy_or_program_in_front_of_the_service_is_reported(status: int, said: str) -> None:
    async with answering(lambda _request: PlainTextResponse("", status)) as url:
        finding = await try_webhook(url, KEY, SECRET)
    assert finding.grade == "wrong"
    assert said in finding.said


async def test_a_public_name_without_tls_is_reported() -> None:
    async with answering(lambda _request: PlainTextResponse("")) as url:
        settings = loaded(
            {
                "DOMAIN": url.removeprefix("http://"),
                "LIVEKIT_URL": "ws://127.0.0.1:1",
                "LIVEKIT_API_KEY": KEY,
                "LIVEKIT_API_SECRET": SECRET,
            }
        )
        webhooks, sip = await examine(door_checks(settings))
    assert (webhooks.grade, sip.grade) == ("wrong", "not checked")
    assert "does not speak TLS" in webhooks.advice


class Answers(asyncio.DatagramProtocol):
    """A SIP server that answers the second request, after a provisional answer; it keeps what it received."""

    def __init__(self, *, silent: bool = False) -> None:
        self.heard: list[bytes] = []
        self._silent = silent

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)
        if not self._silent and len(self.heard) > 1:
            self._transport.sendto(b"SIP/2.0 100 Trying\r\n\r\n", addr)
            self._transport.sendto(b"SIP/2.0 404 Not Found\r\n\r\n", addr)


@asynccontextmanager
async def sip_server(*, silent: bool = False) -> AsyncIterator[tuple[str, Answers]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Answers(silent=silent), local_addr=("127.0.0.1", 0))
    try:
        yield f"sip:127.0.0.1:{transport.get_extra_info('sockname')[1]}", server
    finally:
        transport.close()
        await asyncio.sleep(0)


async def test_a_sip_address_is_asked_again_until_it_answers() -> None:
    async with sip_server() as (address, server):
        finding = await try_sip(address)
    assert finding == Finding("SIP address", "ok", f"{address} answers OPTIONS (404)")
    assert len(server.heard) == 2
    assert len(set(server.heard)) == 1, "a request that is sent again is the same request"
    lines = server.heard[0].decode().split("\r\n")
    assert lines[0] == f"OPTIONS {address} SIP/2.0"
    assert lines[-2:] == ["", ""]
    assert {line.partition(":")[0] for line in lines[1:-2]} >= {
        "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Content-Length",
    }  # fmt: skip


async def test_a_silent_sip_address_is_reported_after_some_seconds() -> None:
    async with sip_server(silent=True) as (address, server):
        finding = await try_sip(address, (0.05, 0.05, 0.1))
    assert finding.grade == "wrong"
    assert "did not answer OPTIONS over UDP within 0.2 seconds" in finding.said
    assert len(server.heard) == 3


async def test_a_sip_address_where_nothing_listens_is_reported_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    finding = await try_sip(f"sip:127.0.0.1:{port}")
    assert (finding.grade, finding.advice) == (
        "wrong",
        "Nothing listens there. Is the server running?",
    )


async def test_a_sip_address_for_another_transport_is_not_asked() -> None:
    assert (await try_sip("sip:127.0.0.1:1;transport=tcp")).grade == "not checked"


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("sip:a.example.org", ("a.example.org", 5060)),
        ("sip:203.0.113.7:5070", ("203.0.113.7", 5070)),
        ("sip:a.example.org:5061;transport=udp", ("a.example.org", 5061)),
    ],
)
def test_a_sip_address_has_a_host_and_a_port(address: str, asked: tuple[str, int]) -> None:
    assert host_and_port(address) == asked


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert graded(look_at_folder(tmp_path / "new")) == [("DATA_DIR", "ok"), ("disk", "ok")]
    (finding,) = look_at_folder(tmp_path / "file")
    assert (finding.about, finding.grade) == ("DATA_DIR", "wrong")


@pytest.mark.parametrize(("free", "grade"), [(10**11, "ok"), (10**9, "warning"), (10**8, "wrong")])
def test_a_disk_that_runs_full_is_reported(free: int, grade: str) -> None:
    assert judge_room(free).grade == grade


async def test_a_database_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    url = f"sqlite+aiosqlite:///{path}"
    assert (await open_database(url)).grade == "ok"
    assert not path.exists(), "a look changes nothing"
    migrate(url)
    assert (await open_database(url)).said == "opens and answers"
    path.write_bytes(b"this is no database, and it is long enough to be seen as none")
    assert (await open_database(url)).grade == "wrong"


@pytest.mark.parametrize(
    ("date", "grade"),
    [
        ("Thu, 26 Nov 2026 12:00:00 GMT", "ok"),
        ("Thu, 26 Nov 2026 12:00:20 GMT", "warning"),
        ("Thu, 26 Nov 2026 11:50:00 GMT", "wrong"),
        ("yesterday", "not checked"),
    ],
)
def test_a_clock_that_is_off_is_reported(date: str, grade: str) -> None:
    assert judge_clock(date, datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)).grade == grade


async def test_the_clock_is_compared_with_the_first_server_that_sends_the_time() -> None:
    late = format_datetime(utc_now() - timedelta(minutes=5), usegmt=True)
    async with answering(lambda _request: Response(headers={"Date": late})) as url:
        finding = await compare_clocks(["http://127.0.0.1:1", url])
    assert (finding.grade, finding.said.split()[-1]) == ("wrong", "ahead")
    assert (await compare_clocks(["http://127.0.0.1:1"])).grade == "not checked"


async def test_checks_are_made_at_once_and_none_holds_up_or_breaks_the_others() -> None:
    started = asyncio.Event()

    async def hangs() -> Sequence[Finding]:
        started.set()
        await asyncio.Event().wait()
        return []

    async def breaks() -> Sequence[Finding]:
        raise ZeroDivisionError

    async def looks() -> Sequence[Finding]:
        await started.wait()
        return [Finding("third", "ok", "as it should be")]

    findings = await examine([Check("first", hangs, 0.05), Check("second", breaks), Check("third", looks)])
    assert graded(findings) == [("first", "wrong"), ("second", "wrong"), ("third", "ok")]
    assert "no answer within 0.05 seconds" in findings[0].said
    assert "ZeroDivisionError" in findings[1].said


def test_what_is_shown_is_not_taken_for_markup() -> None:
    console = Console(width=100, record=True, file=StringIO())
    console.print(table([Finding("folder", "wrong", "[bold] cannot be written", "Do [red]this.")]))
    assert "[bold] cannot be written" in (shown := console.export_text())
    assert "Do [red]this." in shown


def test_the_command_prints_what_is_wrong_and_its_status_shows_it(tmp_path: Path) -> None:
    good = run(tmp_path, "doctor")
    assert (good.returncode, good.stderr) == (0, "")
    assert "the sandbox stands in" in good.stdout
    livekit = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": SECRET}
    bad = run(tmp_path, "doctor", **livekit)
    assert (bad.returncode, bad.stderr) == (1, "")
    assert "1 wrong" in bad.stdout
    assert SECRET not in bad.stdout


def test_keys_that_are_easy_to_guess_are_reported_without_the_key() -> None:
    found = of_keys(loaded({"API_KEY": "secret123", "METRICS_TOKEN": "x" * 20}))
    assert [(finding.about, finding.grade) for finding in found] == [("API_KEY", "warning")]
    assert "secret123" not in str(found)


def test_wrong_settings_are_reported_first(tmp_path: Path) -> None:
    bad = run(tmp_path, "doctor", PORT="none", OPENAI_API_KEY="oa-secret")
    assert bad.returncode == 1
    assert [line.split()[1] for line in bad.stdout.splitlines() if line.startswith("wrong")] == [
        "PORT", "DEEPGRAM_API_KEY", "CARTESIA_API_KEY",
    ]  # fmt: skip
    assert "oa-secret" not in bad.stdout + bad.stderr
