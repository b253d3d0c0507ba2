"""``voice-agent keys``: making, showing and revoking named keys."""

from pathlib import Path

from app.storage.api_keys import ApiKeyStore
from app.storage.audit import AuditLog
from app.storage.database import Database
from tests.cli.test_commands import run
from tests.support.databases import url_of


async def test_a_key_is_shown_once_listed_by_name_and_revoked_and_the_audit_knows(tmp_path: Path) -> None:
    made = run(tmp_path, "keys", "add", "dashboard", "--scopes", "operate, read", DATA_DIR=str(tmp_path))
    listed = run(tmp_path, "keys", "list", DATA_DIR=str(tmp_path))
    again = run(tmp_path, "keys", "add", "dashboard", "--scopes", "read", DATA_DIR=str(tmp_path))
    database = await Database.open(url_of(tmp_path / "calls.db"))
    try:
        found = await ApiKeyStore(database).find(made.stdout.strip())
        revoked = [run(tmp_path, "keys", "revoke", "dashboard", DATA_DIR=str(tmp_path)) for _ in range(2)]
        gone = await ApiKeyStore(database).find(made.stdout.strip())
        entries = await AuditLog(database).page(limit=10)
    finally:
        await database.close()

    assert made.returncode == 0, made.stderr
    assert found is not None
    assert found.scopes == {"read", "operate"}
    assert "dashboard" in listed.stdout
    assert "read, operate" in listed.stdout
    assert made.stdout.strip() not in listed.stdout
    assert (again.returncode, "there is a key 'dashboard' already" in again.stderr) == (1, True)
    assert [each.returncode for each in revoked] == [0, 1]
    assert gone is None
    assert [(each.key, each.action, each.detail) for each in entries] == [
        ("command line", "keys revoke", "dashboard"),
        ("command line", "keys add", "dashboard: read, operate"),
    ]


def test_what_no_key_may_do_is_named(tmp_path: Path) -> None:
    for scopes, told in (("read,write", "'write' is no scope: there are read, call, operate, erase"), (" ", "a scope")):
        refused = run(tmp_path, "keys", "add", "a", "--scopes", scopes, DATA_DIR=str(tmp_path))
        assert refused.returncode == 1
        assert told in refused.stderr
        assert "Traceback" not in refused.stderr
