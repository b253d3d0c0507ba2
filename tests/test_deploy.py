"""What runs the service elsewhere: the compose file, and the script that deploys to Fly.io."""

import asyncio
import os
import re
import shutil
import sys
import tomllib
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.settings import setting_names
from sandbox.running import serving
from tests.support.sources import ROOT, text

OLD = "registry.fly.io/voice-agent:20260101-000000@sha256:0123"
FLY = """\
#!/usr/bin/env bash
# Keeps what it is told, and runs what it is told to deploy unless the image is one that it refuses to build.
cd "$(dirname "$0")" || exit
echo "$*" >> told
case "$1 $2" in
"machine list")
    printf '[{"id": "1", "config": {"env": {}, "image": "%s"}, "image_ref": {"tag": "x"}}]\\n' "$(cat image)" ;;
"deploy --image-label")
    [ -f refuses ] && exit 1
    echo "registry.fly.io/voice-agent:$3@sha256:4567" > image ;;
"deploy --image")
    echo "$3" > image ;;
esac
"""


@dataclass
class Deployment:
    """What came of it."""

    status: int
    printed: str
    told: list[str]
    image: str

    @property
    def deploys(self) -> list[str]:
        return [line for line in self.told if line.startswith("deploy")]


async def deploy(folder: Path, *arguments: str, ready: str = "", image: str = OLD, refuses: bool = False) -> Deployment:
    """Run the script with a stand-in for fly; the service is ready when the image that runs matches ``ready``."""
    fly = folder / "fly"
    fly.write_text(FLY)
    fly.chmod(0o755)
    (folder / "image").write_text(image)
    if refuses:
        (folder / "refuses").touch()

    async def answer(_request: Request) -> Response:
        return Response(status_code=200 if re.search(ready, (folder / "image").read_text()) else 503)

    async with serving(Starlette(routes=[Route("/health/ready", answer)])) as url:
        variables = {"READY_URL": f"{url}/health/ready", "READY_SECONDS": "2", "LOOK_SECONDS": "0.05"}
        process = await asyncio.create_subprocess_exec(
            ROOT / "deploy" / "fly.sh", *arguments, stdout=PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**variables, "PYTHON": sys.executable, "PATH": f"{folder}:{os.environ['PATH']}"},
        )  # fmt: skip
        printed, _ = await process.communicate()
    told = (folder / "told").read_text().splitlines()
    return Deployment(process.returncode or 0, printed.decode(), told, (folder / "image").read_text().strip())


async def test_a_version_that_becomes_ready_stays(tmp_path: Path) -> None:
    done = await deploy(tmp_path, "--remote-only")
    (line,) = done.deploys
    assert done.status == 0
    assert re.fullmatch(r"deploy --image-label \d{8}-\d{6} --remote-only", line)
    assert f"Ready: {line.split()[2]}" in done.printed


async def test_a_version_that_does_not_become_ready_is_replaced_by_the_one_before(tmp_path: Path) -> None:
    done = await deploy(tmp_path, ready=re.escape(OLD))
    assert (done.status, done.image) == (1, OLD)
    assert done.deploys[1:] == [f"deploy --image {OLD}"]
    assert "The version before is ready again" in done.printed


async def test_a_version_before_that_is_not_ready_either_is_reported(tmp_path: Path) -> None:
    done = await deploy(tmp_path, ready="^never")
    assert (done.status, len(done.deploys)) == (1, 2)
    assert "fly volumes snapshots list" in done.printed


async def test_an_image_that_cannot_be_built_changes_nothing(tmp_path: Path) -> None:
    done = await deploy(tmp_path, refuses=True)
    assert (done.status, done.image, len(done.deploys)) == (1, OLD, 1)
    assert "nothing was changed" in done.printed


async def test_a_first_version_that_does_not_become_ready_has_none_to_go_back_to(tmp_path: Path) -> None:
    done = await deploy(tmp_path, ready="^never", image="")
    assert (done.status, len(done.deploys)) == (1, 1)
    assert "there is no version before it" in done.printed


def test_a_worker_of_the_host_has_a_core() -> None:
    fly = tomllib.loads(text("fly.toml"))
    assert int(fly["env"]["WORKERS"]) == fly["vm"][0]["cpus"]


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = YAML(typ="safe").load(text("deploy/compose.yaml"))["services"]
    return found


def test_every_image_of_the_compose_file_has_its_version() -> None:
    images = {name: service["image"] for name, service in services().items()}
    assert images.pop("voice-agent") == "voice-agent", "built here"
    assert all(re.fullmatch(r"[a-z/-]+:v?\d+\.\d+[.\da-z-]*", image) for image in images.values()), images


def test_the_compose_file_builds_and_sets_what_there_is() -> None:
    ours = services()["voice-agent"]
    assert f" AS {ours['build']['target']}\n" in text("Dockerfile")
    assert set(ours["environment"]) <= setting_names()
    assert set(re.findall(r"\$\{([A-Z_]+)", text("deploy/compose.yaml"))) <= setting_names()


def test_no_container_takes_the_whole_machine_or_its_disk() -> None:
    for name, service in services().items():
        assert service["logging"]["driver"] == "json-file", name
        assert {"max-size", "max-file"} == set(service["logging"]["options"]), name
        assert service["pids_limit"] > 0, name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service.get("cpus") == 1 or service["cpu_shares"] > 1024, name


def test_the_guide_pins_every_image_that_is_fetched() -> None:
    fetched = {service["image"] for service in services().values()} - {"voice-agent"}
    fetched |= set(re.findall(r"^FROM (\S+:\S+)", text("Dockerfile"), re.M))
    assert {image for image in fetched if image not in text("docs/security.md")} == set()


def test_the_compose_file_gives_live_calls_the_time_that_the_host_gives_them() -> None:
    seconds = tomllib.loads(text("fly.toml"))["kill_timeout"]
    assert services()["voice-agent"]["stop_grace_period"] == f"{seconds}s"
    assert services()["sip"]["stop_grace_period"] == f"{seconds}s"


def test_proxy_service_and_livekit_find_each_other_and_are_not_found_from_outside() -> None:
    ours = services()["voice-agent"]["environment"]
    livekit = YAML(typ="safe").load(services()["livekit"]["environment"]["LIVEKIT_CONFIG"])
    redis = YAML(typ="safe").load(services()["sip"]["environment"]["SIP_CONFIG_BODY"])["redis"]
    assert f"reverse_proxy {ours['VA_HOST']}:{ours['PORT']}\n" in text("deploy/Caddyfile")
    assert livekit["webhook"]["urls"] == [f"http://{ours['VA_HOST']}:{ours['PORT']}/webhooks/livekit"]
    assert services()["sip"]["environment"]["LIVEKIT_WS_URL"] == ours["LIVEKIT_URL"]
    assert ours["LIVEKIT_URL"] == f"ws://{livekit['bind_addresses'][0]}:{livekit['port']}"
    assert livekit["redis"] == redis == {"address": "127.0.0.1:6379"}
    assert services()["redis"]["command"][1:3] == ["--bind", "127.0.0.1"]
    assert {service["network_mode"] for service in services().values()} == {"host"}


def test_the_service_writes_to_its_volume_alone() -> None:
    ours = services()["voice-agent"]
    assert ours["read_only"]
    assert ours["cap_drop"] == ["ALL"]
    assert [volume.partition(":")[2] for volume in ours["volumes"]] == [ours["environment"]["DATA_DIR"]]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
async def test_each_alert_fires_when_it_should_and_only_then() -> None:
    process = await asyncio.create_subprocess_exec(
        "promtool", "test", "rules", "rules.test.yaml",
        cwd=ROOT / "deploy" / "prometheus", stdout=PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()

    assert process.returncode == 0, printed.decode()
