"""The command line: ``voice-agent serve | demo | sandbox | setup | doctor | explain | replay``."""

import gc
import sys
from typing import Annotated, Literal

import typer

from app.cli.sandbox_process import Profile, print_sandbox
from app.cli.settings_problems import SETTINGS_STATUS, tell_problems
from app.errors import SettingsError
from app.settings import load_settings

Language = Literal["ru", "en"]
CallId = Annotated[str, typer.Argument(help="as GET /calls has it")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def serve(
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="processes; WORKERS when not given")] = None,
) -> None:
    """Answer calls, as the settings say; without any vendor's key, with the sandbox."""
    settings = load_settings()
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    if settings.workers > 1:
        from app.cli.supervisor import supervise  # nor does it load what no other command needs

        raise typer.Exit(supervise(settings))
    gc.disable()
    from app.cli.serve import serve_alone  # the web's and most vendors' libraries, which take their time to load

    serve_alone(settings)


@app.command()
def demo(
    language: Annotated[Language, typer.Option(help="of the conversation")] = "ru",
    profile: Annotated[Profile, typer.Option(help="delays of the vendors")] = "typical",
    room: Annotated[bool, typer.Option("--room", help="by telephone, through a real livekit-server")] = False,
) -> None:
    """A whole call on this machine, without keys or accounts: watch it, then listen to the recording."""
    # The simulated caller, which a service in production need not load.
    from app.cli.demo import run_demo, run_room_demo

    raise typer.Exit((run_room_demo if room else run_demo)(language, profile))


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
    from app.cli.doctor import doctor_command  # as for serve

    raise typer.Exit(doctor_command())


@app.command()
def explain(call_id: CallId) -> None:
    """Tell a call in order, from its journal: what happened, what went wrong, how long the answers took."""
    from app.cli.explain import explain_command  # the database's library

    raise typer.Exit(explain_command(call_id))


@app.command()
def replay(call_id: CallId) -> None:
    """Have this version decide a call again, and say where it decides otherwise than the one that held it."""
    from app.cli.replay import replay_command  # the database's library

    raise typer.Exit(replay_command(call_id))


def main() -> None:
    """Entry point: settings that are wrong are told in plain lines."""
    try:
        app()
    except SettingsError as error:
        tell_problems(error)
        sys.exit(SETTINGS_STATUS)
