"""Copies of agents' files."""

import hashlib
from pathlib import Path

from structlog.testing import capture_logs

from app.calls.agent.kept_files import KeptFiles


def keep(kept: KeptFiles, path: Path) -> None:
    kept.keep([(path, {path.name: hash_of(path.read_bytes())})])


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_copy_is_what_was_read_last(tmp_path: Path) -> None:
    path, kept = tmp_path / "clinic.yaml", KeptFiles(tmp_path / "kept")
    for text in ("prompt: a", "prompt: b"):
        path.write_text(text)
        keep(kept, path)
        path.write_text("wrong")

        copy = kept.find(path)

        assert copy is not None
        assert (copy.name, copy.read_text()) == ("clinic.yaml", text)


def test_a_file_that_changed_since_it_was_read_is_not_copied(tmp_path: Path) -> None:
    path, kept = tmp_path / "clinic.yaml", KeptFiles(tmp_path / "kept")
    path.write_text("prompt: a")
    kept.keep([(path, {path.name: hash_of(b"prompt: b")})])

    assert kept.find(path) is None


def test_the_files_that_an_agent_needs_are_kept_with_it_or_not_at_all(tmp_path: Path) -> None:
    path, prices, kept = tmp_path / "clinic.yaml", tmp_path / "docs" / "prices.md", KeptFiles(tmp_path / "kept")
    prices.parent.mkdir()
    path.write_text("prompt: a")
    prices.write_text("one")
    good = {"clinic.yaml": hash_of(b"prompt: a"), "docs/prices.md": hash_of(b"one")}

    kept.keep([(path, {**good, "docs/prices.md": hash_of(b"two")})])
    assert kept.find(path) is None
    kept.keep([(path, good)])

    copy = kept.find(path)
    assert copy is not None
    assert (copy.parent / "docs" / "prices.md").read_text() == "one"


def test_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path / "kept")
    paths = [tmp_path / folder / "clinic.yaml" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(f"prompt: {path.parent.name}")
        keep(kept, path)

    assert [copy.read_text() for path in paths if (copy := kept.find(path))] == ["prompt: a", "prompt: b"]


def test_a_folder_that_cannot_be_written_is_logged(tmp_path: Path) -> None:
    path = tmp_path / "clinic.yaml"
    path.write_text("prompt: a")
    with capture_logs() as log:
        keep(KeptFiles(path), path)

    assert [entry["event"] for entry in log] == ["agent.not_kept"]
