"""What the doctor says of the agents."""

from pathlib import Path

import pytest

from app.cli.checks.agents import agent_checks
from app.cli.checks.findings import examine
from app.settings import Settings
from tests.support.mcp_endpoint import mcp_endpoint

KEYPAD = """\
keypad:
  1: {label: {en: book}, tool: schedule_book}
  2: {label: {en: go}, tool: schedule_gone}
"""


async def test_an_agent_without_a_disclosure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "clinic.yaml").write_text("prompt: x\ndisclosure: true\n")
    (folder / "shop.yaml").write_text("prompt: x\nnotice: true\n")

    findings = await examine(agent_checks(Settings()))

    assert [(finding.about, finding.grade) for finding in findings] == [
        ("agent clinic", "ok"),
        ("agent shop", "warning"),
        ("agent standard", "warning"),
    ]
    assert "ru, en" in findings[1].said
    assert "disclosure: true" in findings[1].advice


async def test_each_mcp_server_is_asked_for_its_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    async with mcp_endpoint() as endpoint:
        servers = f"- {{name: schedule, url: '{endpoint.url}', tools: [book, gone]}}\n"
        (folder / "clinic.yaml").write_text(f"prompt: x\ndisclosure: true\nmcp_servers:\n{servers}{KEYPAD}")
        monkeypatch.chdir(tmp_path)
        well = await examine([check for check in agent_checks(Settings()) if "schedule" in check.about])
        endpoint.refuses = 401
        ill = await examine([check for check in agent_checks(Settings()) if "schedule" in check.about])

    assert [(finding.about, finding.grade, finding.said) for finding in well] == [
        ("agent clinic: schedule", "ok", "the MCP server offers schedule_book"),
        ("agent clinic: schedule", "wrong", "schedule lists no tool gone"),
        ("agent clinic: schedule", "wrong", "the key 2 does nothing: schedule offers no tool schedule_gone"),
    ]
    assert [(finding.grade, finding.said) for finding in ill] == [
        ("wrong", "the MCP server lists no tools: answered 401")
    ]
    assert endpoint.url in (ill[0].advice or "")
