"""Who may look into the data folder."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.start_checks import keep_private, warn_of_root


def modes(folder: Path) -> dict[str, str]:
    paths = [folder, *folder.rglob("*")]
    return {path.name: oct(path.stat().st_mode & 0o777) for path in paths}


def wide_open(folder: Path) -> Path:
    folder.mkdir()
    for name in ("recordings", "phrases", "unsaved", "spool"):
        (folder / name).mkdir()
    for name in ("calls.db", "calls.db-wal"):
        (folder / name).touch()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def test_what_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    data = wide_open(tmp_path / "data")
    with capture_logs() as told:
        keep_private(data)
    folders = dict.fromkeys(("data", "recordings", "phrases", "unsaved", "spool"), "0o700")
    assert modes(data) == {**folders, "calls.db": "0o600", "calls.db-wal": "0o600"}
    assert told == []


def test_a_volume_of_its_own_is_not_shared(tmp_path: Path) -> None:
    data = wide_open(tmp_path / "data")
    (data / "lost+found").mkdir(mode=0o700)
    with capture_logs() as told:
        keep_private(data)
    assert (modes(data)["data"], told) == ("0o700", [])


@pytest.mark.parametrize("place", ["data", "elsewhere"])
def test_so_is_a_database_of_another_name_wherever_it_is(tmp_path: Path, place: str) -> None:
    data = wide_open(tmp_path / "data")
    database = tmp_path / place / "clinic.sqlite"
    database.parent.mkdir(exist_ok=True)
    beside = database.with_name("notes.txt") if place == "elsewhere" else data / "calls.db"
    for path in (database, database.with_name("clinic.sqlite-wal"), beside):
        path.touch()
        path.chmod(0o644)
    with capture_logs() as told:
        keep_private(data, database)
    found = modes(tmp_path)
    assert (found["clinic.sqlite"], found["clinic.sqlite-wal"], found["data"]) == ("0o600", "0o600", "0o700")
    assert found[beside.name] == ("0o644" if place == "elsewhere" else "0o600")
    assert told == []


def test_a_folder_that_is_shared_is_left_as_it_is_and_reported(tmp_path: Path) -> None:
    data = wide_open(tmp_path / "data")
    (data / "of-somebody-else").touch()
    with capture_logs() as told:
        keep_private(data)
    found = modes(data)
    assert (found["data"], found["recordings"], found["calls.db"]) == ("0o755", "0o700", "0o600")
    assert [line["event"] for line in told] == ["data.readable_by_others"]


@pytest.mark.parametrize(("user", "told"), [(0, ["service.runs_as_root"]), (10001, [])])
def test_a_start_as_root_is_reported(user: int, told: list[str]) -> None:
    with capture_logs() as lines:
        warn_of_root(user)
    assert [line["event"] for line in lines] == told
