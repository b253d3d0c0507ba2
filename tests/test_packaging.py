"""What is installed and deployed: the wheel, its dependencies, the image, the settings of the host."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import Parser
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from app.settings import Settings, setting_names
from routers import health
from tests.support.sources import LOADED_LATER, PACKAGES, ROOT, imports, python_files, text

USED_WITHOUT_AN_IMPORT = {
    "aiosqlite": "SQLAlchemy's driver for SQLite",
    "greenlet": "SQLAlchemy's asyncio extension",
    "tzdata": "the time zones of zoneinfo, where the system has none",
    "uvloop": "uvicorn's event loop",
}
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
CLOSING_SECONDS = 35
"""For the goodbyes after the drain, the hangups after them, and closing everything."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the project, tests and all, so that nothing is left in the tree."""
    copy = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    build = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    _python("-c", build, cwd=copy)
    return next((copy / "dist").glob("*.whl"))


def _python(*arguments: str | Path, cwd: Path, **environment: str) -> str:
    """Run Python there and return what it printed."""
    command = [sys.executable, *map(str, arguments)]
    outcome = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_the_wheel_holds_the_packages_and_their_data_and_nothing_else(wheel: Path) -> None:
    written = {
        path.relative_to(ROOT).as_posix()
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    with ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == written


def test_the_wheel_is_not_for_a_public_index(wheel: Path) -> None:
    assert "Private :: Do Not Upload" in (_metadata(wheel).get_all("Classifier") or [])


def _metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_runs_without_the_project_beside_it(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    alone = partial(_python, cwd=tmp_path, PYTHONPATH=str(tmp_path / "installed"))
    migration = "from app.storage.database import migrate; migrate('sqlite+aiosqlite:///made.db')"

    assert "demo" in alone("-m", "app.cli", "--help")
    assert str(tmp_path) in alone("-c", "import app; print(app.__file__)")
    alone("-c", migration)

    assert (tmp_path / "made.db").stat().st_size > 0


def test_the_command_is_the_one_of_the_project() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="voice-agent")

    assert command.value == "app.cli:main"
    assert callable(command.load())


def test_every_package_that_is_imported_is_declared_and_the_other_way_round() -> None:
    imported = {name.partition(".")[0] for path in python_files(*PACKAGES) for name in imports(path)}
    strangers = imported - set(sys.stdlib_module_names) - set(PACKAGES)
    distributions = importlib.metadata.packages_distributions()
    declared = _declared("dependencies", "mcp", "otel", "sandbox")

    owners = [{_normal(owner) for owner in distributions[name]} for name in strangers]
    needed = {owner for several in owners for owner in several & declared or several}  # some packages share a name

    assert needed | set(USED_WITHOUT_AN_IMPORT) == declared
    assert not needed & set(USED_WITHOUT_AN_IMPORT)


def test_every_dependency_has_a_locked_version() -> None:
    assert _declared("dependencies", "mcp", "otel") <= set(_locked("requirements.lock"))
    assert _declared("dependencies", "mcp", "otel", "sandbox", "dev") <= set(_locked("requirements-dev.lock"))
    assert set(_locked("requirements-build.lock")) == {"setuptools"}


def test_the_locks_agree() -> None:
    everything = _locked("requirements-dev.lock")

    assert {**everything, **_locked("requirements.lock"), **_locked("requirements-build.lock")} == everything


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_of_every_file_and_names_no_server(lock: str) -> None:
    releases = re.split(r"\n(?=[\w.-]+==)", re.sub(r"^#.*\n", "", text(lock), flags=re.M).strip())

    assert all(re.fullmatch(r"\S+==\S+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+", each) for each in releases)
    assert "://" not in text(lock)
    assert "--index" not in text(lock)


def test_whoever_installs_asks_for_the_hashes() -> None:
    installed = [
        line for name in ("Makefile", "Dockerfile") for line in text(name).splitlines() if "requirement" in line
    ]
    from_lock = [line for line in installed if "--requirement" in line]

    assert len(from_lock) == 4
    assert all("--require-hashes" in line for line in from_lock)
    assert not [line for line in installed if "--constraint requirements.lock" in line]


def _locked(lock: str) -> dict[str, str]:
    """Versions by name."""
    return {_normal(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text(lock), re.M)}


def _declared(*groups: str) -> set[str]:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    lists = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
    return {_normal(re.split(r"[^\w.-]", wanted)[0]) for group in groups for wanted in lists[group]}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_image_and_host_set_only_settings_that_exist() -> None:
    in_image = set(re.findall(r"^(?:ENV|   ) ([A-Z_]+)=", text("Dockerfile"), re.M))
    others = {"PATH", "PIP_CACHE_DIR", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}

    assert others < in_image
    assert (in_image - others) | set(_fly()["env"]) <= setting_names()


def test_the_image_has_every_library_compiled_that_a_process_may_load() -> None:
    [program] = re.findall(r'^RUN /opt/venv/bin/python -c "(.+)"$', text("Dockerfile"), re.M)

    missing = f"{program}; import sys; print({set(LOADED_LATER)} - sys.modules.keys())"
    outcome = subprocess.run([sys.executable, "-c", missing], capture_output=True, text=True, check=True)

    assert outcome.stdout == "set()\n"


def test_the_image_asks_and_listens_where_the_service_answers() -> None:
    paths = {getattr(route, "path", "") for route in health.router.routes}
    asked = set(re.findall(r"/health/\w+", text("Dockerfile") + text("fly.toml")))
    port = Settings.model_fields["port"].default

    assert asked == {"/health/live", "/health/ready"} <= paths
    assert f"PORT={port} " in text("Dockerfile")
    assert f"EXPOSE {port}\n" in text("Dockerfile")
    assert _fly()["http_service"]["internal_port"] == _fly()["metrics"]["port"] == port


def test_the_host_waits_until_the_calls_have_ended() -> None:
    fly = _fly()

    assert fly["kill_signal"] == "SIGTERM"
    assert fly["kill_timeout"] >= float(fly["env"]["DRAIN_SECONDS"]) + CLOSING_SECONDS
    assert fly["http_service"]["auto_stop_machines"] == "off"


def test_the_host_lets_as_many_callers_in_as_the_service_takes() -> None:
    calls_max = Settings(_env_file=None).places  # type: ignore[call-arg]  # pydantic-settings takes it
    concurrency = _fly()["http_service"]["concurrency"]

    assert concurrency["type"] == "connections"
    assert concurrency["hard_limit"] > concurrency["soft_limit"] >= calls_max


def test_everything_the_image_is_built_from_reaches_the_build() -> None:
    wanted = {line.removeprefix("!") for line in text(".dockerignore").splitlines() if line.startswith("!")}

    of_demo = "docs/agent.example.yaml"  # to which a link of the package leads
    assert wanted == {*PACKAGES, "pyproject.toml", "requirements.lock", "requirements-build.lock", "README.md", of_demo}


def _fly() -> dict[str, Any]:
    return tomllib.loads(text("fly.toml"))
