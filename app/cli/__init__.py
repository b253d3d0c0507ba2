"""The command line: ``voice-agent serve | demo | sandbox | setup | doctor``."""

import sys
from typing import Annotated, Literal

import typer

from app.cli.sandbox_process import Profile, print_sandbox
from app.errors import SettingsError

Language = Literal["ru", "en"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def serve() -> None:
    """Answer calls, as the settings say; without any vendor's key, with the sandbox."""
    from app.cli.serve import (
        serve_command,  # the vendors' libraries, which no other command needs, take seconds to load
    )

    serve_command()


@app.command()
def demo(
    language: Annotated[Language, typer.Option(help="of the conversation")] = "ru",
    profile: Annotated[Profile, typer.Option(help="delays of the vendors")] = "typical",
) -> None:
    """A whole call on this machine, without keys or accounts: watch it, then listen to the recording."""
    from app.cli.demo import run_demo  # the simulated caller, which a service in production need not load

    raise typer.Exit(run_demo(language, profile))


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="0 takes a free one")] = 8100,
    profile: Annotated[Profile, typer.Option(help="delays of the vendors")] = "typical",
) -> None:
    """Stand-ins for the three vendors, alone; prints the settings that point a service at them."""
    raise typer.Exit(print_sandbox(port, profile))


@app.command()
def setup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the difference and change nothing")] = False,
    force: Annotated[bool, typer.Option("--force", help="make a trunk that the whole internet may call by")] = False,
) -> None:
    """Make trunks and dispatch rule at LiveKit as the settings say; as often as you like."""
    from app.cli.setup import setup_command  # LiveKit's library, which takes its time to load

    raise typer.Exit(setup_command(dry_run=dry_run, force=force))


@app.command()
def doctor() -> None:
    """Look at everything that a call depends on, and say what is wrong and what to do."""
    from app.cli.doctor import doctor_command  # the libraries of all vendors, which take their time to load

    raise typer.Exit(doctor_command())


def main() -> None:
    """Entry point: settings that are wrong are told in plain lines."""
    try:
        app()
    except SettingsError as error:
        sys.stderr.write("The settings are not complete:\n" + "".join(f"  {line}\n" for line in error.problems))
        sys.exit(2)
