"""The charts, asked of a real Prometheus that scrapes a real service."""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.service import running_service
from tests.support.sources import ROOT, text

PROMETHEUS = shutil.which("prometheus")
CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: voice-agent
    static_configs: [{{targets: ["{target}"]}}]
"""
WITHOUT_SERIES = {"voice_provider_requests_total", "voice_provider_first_answer_seconds", "voice_turn_latency_seconds"}
"""Metrics with labels that only calls give a value."""


def queries() -> list[str]:
    panels = json.loads(text("deploy/grafana/dashboard.json"))["panels"]
    return [target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel.get("targets", [])]


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[httpx.AsyncClient]:
    """A Prometheus that has scraped the target at least twice."""
    address = f"127.0.0.1:{free_port()}"
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(rules=ROOT / "deploy/prometheus/rules.yaml", target=target))
    process = await asyncio.create_subprocess_exec(
        PROMETHEUS or "", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}", "--log.level=error",
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1", trust_env=False) as http, asyncio.timeout(60):
            while await _scrapes(http) < 2:
                await asyncio.sleep(0.2)
            yield http
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _scrapes(http: httpx.AsyncClient) -> float:
    with suppress(httpx.HTTPError):
        answer = await http.get("/query", params={"query": "count_over_time(voice_build_info[1m])"})
        if answer.status_code == httpx.codes.OK and (found := answer.json()["data"]["result"]):
            return float(found[0]["value"][1])
    return 0.0


@pytest.mark.skipif(PROMETHEUS is None, reason="Prometheus is not installed: apt-get install prometheus")
async def test_every_chart_asks_for_what_the_service_exposes(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, prometheus(tmp_path, service.url.partition("//")[2]) as http:

        async def ask(path: str, **query: str) -> Any:
            answer = await http.get(path, params=query)
            assert answer.status_code == httpx.codes.OK, (query, answer.text)
            return answer.json()["data"]

        for query in queries():
            metrics = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bvoice_\w+", query)}
            found = (await ask("/query", query=query))["result"]
            for metric in metrics:
                family = metric.removesuffix("_total")
                known = [await ask("/metadata", metric=name) for name in (metric, family)]
                assert any(known), query
            assert found or "> 0" in query or metrics & WITHOUT_SERIES or "voice_calls_total" in metrics, query
        groups = (await ask("/rules"))["groups"]

    assert [rule["health"] for group in groups for rule in group["rules"]] == ["ok"] * text(
        "deploy/prometheus/rules.yaml"
    ).count("- alert: ")
