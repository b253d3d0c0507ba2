"""``voice-agent keys``: named keys of the API, each with what it may do. A change counts from the next request on."""

import sys
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Named keys of the API: one for each program or person that has access.")
Name = Annotated[str, typer.Argument(help="who has the key: up to 40 of a-z, 0-9, dot, dash and underscore")]

_FAILED = 1


@app.command()
def add(
    name: Name,
    scopes: Annotated[str, typer.Option(help="what it may do, separated by commas: read, call, operate, erase")],
) -> None:
    """Make a key and print it. It cannot be shown again."""
    from app.cli.key_store import add_key  # the database's library

    sys.stdout.write(f"{add_key(name, scopes)}\n")


@app.command("list")
def list_keys() -> None:
    """Show the names of all keys, and what each may do."""
    from rich.console import Console
    from rich.table import Table

    from app.cli.key_store import all_keys, shown

    table = Table("name", "may", "made at")
    for key in all_keys():
        table.add_row(key.name, shown(key.scopes), key.created_at)
    Console(highlight=False).print(table)


@app.command()
def revoke(name: Name) -> None:
    """Let a key do nothing any more, and end the sessions of the dashboard that were opened with it."""
    from app.cli.key_store import revoke_key

    if not revoke_key(name):
        sys.stderr.write("There is no key of that name. voice-agent keys list shows which there are.\n")
        raise typer.Exit(_FAILED)
