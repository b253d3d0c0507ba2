"""What the doctor says of the agents."""

from pathlib import Path

import pytest

from app.cli.checks.agents import agent_checks
from app.cli.checks.findings import examine
from app.settings import Settings


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
