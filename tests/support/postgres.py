"""Real Postgres servers for tests: one that all processes of a test run share, and others of a test's own.

A server never runs as root, keeps everything in a folder of its own, and ends with the process that it was started for.
The shared one does not wait for the disk, and gives each test a database that is copied from a migrated one.
"""

import asyncio
import fcntl
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.storage.database import migrate
from app.storage.schema import REVISION

FOLDER_VARIABLE = "VOICE_AGENT_TEST_POSTGRES"
"""Where the shared server of this run is. The first process sets it, the processes that it starts inherit it."""
REQUIRED_VARIABLE = "POSTGRES_REQUIRED"
"""Set in CI: a test that needs Postgres fails instead of being skipped."""
_IS_REQUIRED = REQUIRED_VARIABLE in os.environ
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
_USERS = ("postgres", "nobody")
_STARTS_SECONDS = 60.0
_LIKE_PRODUCTION = ("max_connections=100", "shared_buffers=32MB", "listen_addresses=127.0.0.1", "max_wal_size=256MB")
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=400", "autovacuum=off")
_TEMPLATE = "migrated"
_FORGETTING = """
CREATE FUNCTION forget_all() RETURNS text LANGUAGE plpgsql AS $$
DECLARE each text; has_rows boolean;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
    FOR each IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', each) INTO has_rows;
        IF has_rows THEN EXECUTE format('TRUNCATE %I RESTART IDENTITY CASCADE', each); END IF;
    END LOOP;
    PERFORM setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S';
    RETURN (SELECT version_num FROM alembic_version);
END $$
"""
_FORGET_ALL = "SELECT forget_all()"
_UNTIL_ITS_PARENT_ENDS = """
"$@" & server=$!
trap 'kill -INT $server; wait $server; exit' TERM
while kill -0 $server 2>/dev/null && [ -d /proc/$PARENT ]; do sleep 0.2; done
kill -QUIT $server 2>/dev/null
"""


class NoPostgres(Exception):
    """There is none on this machine, or it cannot run here."""


class Cluster:
    """A server in a folder. ``url(name)`` is SQLAlchemy's address of a database in it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._data = folder / "data"

    def url(self, name: str) -> str:
        return f"postgresql+asyncpg://voice:voice@127.0.0.1:{self.port}/{name}"

    def create(self, auth: str = "scram-sha-256") -> None:
        """Make the files of a new server."""
        password = self.folder / "password"
        password.write_text("voice")
        owner = _user()
        if owner is not None:
            for path in (self.folder, password):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        options = ("--username=voice", f"--auth={auth}", f"--pwfile={password}", "--encoding=UTF8", "--no-sync")
        # Not the order of code points, which the tables must bring themselves.
        self._run("initdb", *options, "--locale=C.UTF-8", "--no-instructions")

    def start(self, *settings: str, parent: int | None = None) -> None:
        """Start it, and wait until it answers. It ends with ``parent``, or with this process."""
        server = [program("postgres"), "-D", str(self._data), "-p", str(self.port), "-k", str(self.folder)]
        for setting in (*_LIKE_PRODUCTION, *settings):
            server += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            subprocess.run(
                ["/bin/sh", "-c", f"({_UNTIL_ITS_PARENT_ENDS}) &", "sh", *server],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": os.environ["PATH"], "PARENT": str(parent or os.getpid()), "LC_ALL": "C.UTF-8"},
                **_as_user(),
            )
        self.wait()

    def wait(self) -> None:
        """Wait until it answers. Raises NoPostgres."""
        until = time.monotonic() + _STARTS_SECONDS  # noqa: TID251 - a program's own time
        while time.monotonic() < until:  # noqa: TID251
            if (
                subprocess.run(
                    [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
                ).returncode
                == 0
            ):
                return
            time.sleep(0.02)  # another program: polling is the only way to know
        raise NoPostgres(f"the server did not start: {(self.folder / 'log').read_text(errors='replace')[-2000:]}")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: ``immediate`` as a crash does, ``fast`` in order."""
        self._run("pg_ctl", "stop", "-m", mode, "-w", "-s")

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "promote", "-w", "-s")

    def copy_of(self, primary: "Cluster") -> None:
        """Make the files of a standby of a running server."""
        owner = _user()
        if owner is not None:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        source = f"host=127.0.0.1 port={primary.port} user=voice password=voice"
        self._run("pg_basebackup", "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def pause(self, *, goes_on: bool = False) -> None:
        """Stop all processes of the server in the middle of what they do, or let them go on."""
        for pid in self.processes():
            os.kill(pid, 18 if goes_on else 19)

    def processes(self) -> list[int]:
        """The server and its children."""
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def query(self, name: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What another program sees in a database."""
        import asyncpg

        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.url(name).replace("+asyncpg", ""), timeout=30)
            try:
                return [tuple(row) for row in await connection.fetch(query, *parameters)]
            finally:
                await connection.close()

        return _apart(run)

    def _run(self, name: str, *options: str) -> None:
        done = subprocess.run(
            [program(name), "-D", str(self._data), *options],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd="/",
            **_as_user(),
        )
        if done.returncode:
            raise NoPostgres(f"{name} failed: {done.stderr or done.stdout}")


_IDLE: list[tuple[Cluster, str]] = []
"""Databases without a row, for the next tests."""


@contextmanager
def own_cluster(*settings: str) -> Iterator[Cluster]:
    """A server of a test's own, which it may stop. Skips the test, or in CI fails it, where there is none."""
    with _or_skip(), _folder() as folder:
        cluster = Cluster(folder, free_port())
        cluster.create()
        cluster.start(*settings)
        try:
            yield cluster
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                cluster.pause(goes_on=True)
                cluster.stop()


@contextmanager
def standby_of(primary: Cluster) -> Iterator[Cluster]:
    """A standby that follows a server."""
    with _folder() as folder:
        cluster = Cluster(folder, free_port())
        cluster.copy_of(primary)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


def new_database(*, is_empty: bool = False) -> tuple[Cluster, str]:
    """A database of its own on the shared server, migrated if it is not to be empty, by its name."""
    with _or_skip():
        cluster = _shared()
    name = f"test_{secrets.token_hex(8)}"
    template = "template0" if is_empty else _TEMPLATE
    cluster.query("postgres", f'CREATE DATABASE "{name}" TEMPLATE {template}')
    return cluster, name


def lend_database() -> tuple[Cluster, str]:
    """A migrated database without a row, by its name. To empty one that was given back is quicker than to make one."""
    return _IDLE.pop() if _IDLE else new_database()


def give_back(cluster: Cluster, name: str) -> None:
    """Empty a lent database. One whose tables are not as they were is dropped instead."""
    if cluster.query(name, _FORGET_ALL)[0][0] == REVISION:
        _IDLE.append((cluster, name))
    else:
        drop_database(cluster, name)


def drop_database(cluster: Cluster, name: str) -> None:
    cluster.query("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@cache
def _shared() -> Cluster:
    """The server of this run: whoever needs it first starts it."""
    folder = Path(os.environ.get(FOLDER_VARIABLE, _FOLDER))
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = folder / "port"
        if known.exists():
            return Cluster(folder, int(known.read_text()))
        cluster = Cluster(folder, free_port())
        cluster.create("trust")
        cluster.start(*_FAST, parent=int((folder / "parent").read_text()))
        cluster.query("postgres", f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
        migrate(cluster.url(_TEMPLATE))
        cluster.query(_TEMPLATE, _FORGETTING)
        known.write_text(str(cluster.port))
    return cluster


def announce() -> None:
    """Let the processes of this test run share a server. Call it in the first of them, before the others start."""
    global _FOLDER
    if FOLDER_VARIABLE not in os.environ:
        folder = tempfile.mkdtemp(prefix="voice-agent-postgres-")
        Path(folder).chmod(0o755)
        (Path(folder) / "parent").write_text(str(os.getpid()))
        os.environ[FOLDER_VARIABLE] = folder
    _FOLDER = os.environ[FOLDER_VARIABLE]


_FOLDER = ""


def withdraw() -> None:
    """Remove the files of the shared server, which ends by itself."""
    folder = Path(_FOLDER)
    if (folder / "parent").read_text() == str(os.getpid()):
        if (folder / "data" / "postmaster.pid").exists():
            Cluster(folder, 0).stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _or_skip() -> Iterator[None]:
    try:
        yield
    except NoPostgres as reason:
        if _IS_REQUIRED:
            raise
        pytest.skip(f"{reason}; on Debian: apt install postgresql")


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="voice-agent-postgres-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def program(name: str) -> str:
    """The newest one that is installed. Debian's ``pg_ctl`` and the like may be wrappers or missing from the PATH."""
    found = [str(path) for place in _PLACES for path in sorted(Path("/").glob(f"{place[1:]}/{name}"))]
    program = found[-1] if found else shutil.which(name)
    if program is None:
        raise NoPostgres(f"Postgres is not installed: there is no {name}")
    return program


@cache
def _user() -> pwd.struct_passwd | None:
    """Who runs the server if we are root; None if we are not."""
    if os.geteuid():
        return None
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("Postgres does not run as root, and there is no other user")


def _as_user() -> dict[str, Any]:
    user = _user()
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _apart(run: Any) -> Any:
    """Run it on an event loop in another thread: the caller may be on one of its own."""
    with ThreadPoolExecutor(1, "postgres") as apart:
        return apart.submit(lambda: asyncio.run(run())).result()
