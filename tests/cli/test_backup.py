"""``voice-agent backup`` and ``restore``: what is in an archive, and what is refused."""

import asyncio
import io
import json
import tarfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from app.cli.backup import backup_command, restore_command
from app.storage.schema import REVISION
from tests.storage.stores import a_call, a_row, open_stores
from tests.support.databases import look

SOUND = b"\x01\x02" * 5000


async def keep(folder: Path) -> None:
    """A service's data: two calls, one of them with a recording; one recording of no call, and unsaved rows."""
    async with open_stores(folder) as stores:
        await stores.calls.create(a_call("call_1", recording=True))
        await stores.calls.create(a_call("call_2"))
        stores.journal.append("call_1", 1, a_row(1, text="Запишите меня."))
        await stores.journal.flush("call_1")
        for name in ("call_1/left-1.pcm", "call_1/recording.json", "call_9/left-1.pcm"):
            path = folder / "recordings" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(SOUND)
        (folder / "unsaved").mkdir()
        (folder / "unsaved" / "call_2.json").write_text("{}")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    asyncio.run(keep(tmp_path / "data"))
    assert _said(backup_command, tmp_path / "all.tar", tmp_path / "data") == ""
    return tmp_path / "all.tar"


def restore(archive: Path, data: Path) -> str:
    """What the command says on stderr; empty if all is well."""
    return _said(restore_command, archive, data)


def _said(command: Callable[[Path], int], archive: Path, data: Path) -> str:
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as said:
        patch.setenv("DATA_DIR", str(data))
        assert command(archive) == (1 if said.getvalue() else 0), said.getvalue()
    return said.getvalue()


def test_what_is_restored_is_what_was_there(archive: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert restore(archive, new) == ""
    assert [name for (name,) in look(new / "calls.db", "SELECT call_id FROM calls ORDER BY 1")] == ["call_1", "call_2"]
    assert "Запишите" in str(look(new / "calls.db", "SELECT data FROM journal"))
    assert {str(path.relative_to(new)) for path in new.rglob("*") if path.is_file() and path.suffix != ".db"} >= {
        "recordings/call_1/left-1.pcm",
        "recordings/call_1/recording.json",
        "unsaved/call_2.json",
    }
    assert (new / "recordings/call_1/left-1.pcm").read_bytes() == SOUND
    assert not (new / "recordings/call_9").exists()
    others = [path for path in (new, archive) if path.stat().st_mode & 0o077]
    others += [path for path in new.rglob("*") if path.stat().st_mode & 0o077]
    assert others == [], "callers' words are in it"


def test_nothing_is_overwritten(archive: Path, tmp_path: Path) -> None:
    assert "all.tar exists already" in _said(backup_command, archive, tmp_path / "data")
    assert "has calls already" in restore(archive, tmp_path / "data")
    half = tmp_path / "half"
    (half / "recordings" / "call_1").mkdir(parents=True)
    assert "has calls already" in restore(archive, half)


def _again(archive: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """Write the archive anew, each file as ``change`` makes it; None leaves it out."""
    with tarfile.open(archive) as old:
        files = [(entry.name, (old.extractfile(entry) or io.BytesIO()).read()) for entry in old]
    with tarfile.open(archive, "w") as new:
        for changed in filter(None, (change(name, data) for name, data in files)):
            entry = tarfile.TarInfo(changed[0])
            entry.size = len(changed[1])
            new.addfile(entry, io.BytesIO(changed[1]))


def _with_schema(name: str, data: bytes) -> tuple[str, bytes]:
    return name, data.replace(f'"schema": "{REVISION}"'.encode(), b'"schema": "9999"')


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda name, data: (name, data[:-1] + b"x" if name.endswith("left-1.pcm") else data), "is damaged: "),
        (lambda name, data: None if name.endswith("left-1.pcm") else (name, data), "is damaged: "),
        (lambda name, data: None if name == "manifest.json" else (name, data), "was cut off"),
        (lambda name, data: ("../outside" if name.endswith(".pcm") else name, data), "it has '../outside'"),
        (lambda name, data: ("/etc/passwd" if name.endswith(".pcm") else name, data), "it has '/etc/passwd'"),
        (lambda name, data: ("recordings/../../x" if name.endswith(".pcm") else name, data), "is no backup"),
        (_with_schema, "a newer version made it"),
    ],
    ids=["changed", "dropped", "no manifest", "outside", "absolute", "climbing", "newer"],
)
def test_an_archive_that_is_not_as_it_was_written_is_refused_whole(
    archive: Path, tmp_path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None], told: str
) -> None:
    _again(archive, change)
    assert told in restore(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "outside").exists()


def test_an_archive_that_ends_early_is_refused(archive: Path, tmp_path: Path) -> None:
    for length in (0, 100, 5000, archive.stat().st_size // 2):
        part = tmp_path / "part.tar"
        part.write_bytes(archive.read_bytes()[:length])
        assert "Nothing was restored" in restore(part, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_manifest_names_every_file(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        file = tar.extractfile("manifest.json")
        assert file is not None
        manifest = json.load(file)
    assert names[0] == "calls.db"
    assert names[-1] == "manifest.json"
    assert sorted(manifest["files"]) == sorted(names[:-1])
    assert manifest["schema"] == REVISION


def test_without_a_database_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    assert "Nothing was backed up" in _said(backup_command, tmp_path / "all.tar", tmp_path / "none")
    assert list(tmp_path.glob("*")) == []
