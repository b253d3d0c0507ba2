"""The command line: ``voice-agent serve | demo | sandbox | setup | doctor | chat | test`` and more."""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli import keys
from app.cli.sandbox_process import Profile, print_sandbox
from app.cli.settings_problems import SETTINGS_STATUS, print_problems
from app.clock import utc_now
from app.errors import SettingsError
from app.settings import load_settings

if TYPE_CHECKING:  # slow to load
    from app.agent_tests.changes import Changes

Language = Literal["ru", "en"]
Status = Literal["ringing", "active", "ended"]
Direction = Literal["inbound", "outbound", "web"]
Url = Annotated[
    str | None,
    typer.Option(help="address of a service to ask, with API_KEY, instead of this machine's database"),
]
WithPrompt = Annotated[
    Path | None, typer.Option("--with-prompt", help="another prompt: a text, or an agent's file with it")
]
WithModel = Annotated[str | None, typer.Option("--with-model", help="another language model")]
Policy = Annotated[
    list[str] | None, typer.Option("--set", help="policy.name=value, such as policy.idle_prompt_seconds=5")
]
CallId = Annotated[str, typer.Argument(help="the id, as GET /calls shows it")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(keys.app, name="keys")


@app.command()
def serve(
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="number of processes; the setting WORKERS by default")
    ] = None,
) -> None:
    """Answer calls, as the settings say. Without any vendor's key, use the sandbox."""
    settings = load_settings()
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    if settings.workers > 1:
        from app.cli.supervisor import supervise  # other commands need not load it

        raise typer.Exit(supervise(settings))
    gc.disable()
    from app.cli.serve import serve_alone  # loads the web's and most vendors' libraries, which is slow

    serve_alone(settings)


@app.command()
def demo(
    language: Annotated[Language, typer.Option(help="language of the conversation")] = "ru",
    profile: Annotated[Profile, typer.Option(help="the vendors' delays")] = "typical",
    room: Annotated[bool, typer.Option("--room", help="call by telephone, through a real livekit-server")] = False,
    kill: Annotated[bool, typer.Option("--kill", help="kill the process that holds the call, mid-sentence")] = False,
) -> None:
    """Hold a whole call on this machine, without keys or accounts: watch it, then listen to the recording."""
    # Loads the simulated caller, which a service in production does not need.
    from app.cli.demo import run_demo, run_room_demo

    if room and kill:
        raise typer.BadParameter("--kill shows a call over a websocket; leave out --room")
    raise typer.Exit(run_room_demo(language, profile) if room else run_demo(language, profile, kill=kill))


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="TCP port; 0 picks a free one")] = 8100,
    profile: Annotated[Profile, typer.Option(help="the vendors' delays")] = "typical",
) -> None:
    """Run stand-ins for the three vendors alone, and print the settings that point a service at them."""
    raise typer.Exit(print_sandbox(port, profile))


@app.command()
def setup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the difference and change nothing")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="create a trunk even if the whole internet may call it")
    ] = False,
) -> None:
    """Create or update the trunks and the dispatch rule at LiveKit, as the settings say. Safe to repeat."""
    from app.cli.setup import setup_command  # loads LiveKit's library, which is slow

    raise typer.Exit(setup_command(dry_run=dry_run, force=force))


@app.command()
def doctor() -> None:
    """Check everything that a call depends on, and say what is wrong and what to do."""
    from app.cli.doctor import doctor_command  # as for serve

    raise typer.Exit(doctor_command())


@app.command()
def chat(
    agent: Annotated[str | None, typer.Argument(help="name of the agent, or path of its file; the default one")] = None,
    once: Annotated[str | None, typer.Option(help="say this, show the answer, and hang up")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="show one JSON object a line")] = False,
    dry_tools: Annotated[bool, typer.Option("--dry-tools", help="show calls of tools, and make none")] = False,
    variables: Annotated[list[str] | None, typer.Option("--set", help="name=value of a variable of the agent")] = None,
    language: Annotated[str | None, typer.Option(help="code of the language in which the call begins")] = None,
) -> None:
    """Talk with an agent in text. Needs the key of the language model alone; without one, the sandbox answers."""
    from app.cli.chat import ChatOptions, chat_command  # loads the agents' and the model's libraries

    options = ChatOptions(agent, once, as_json, dry_tools, named_values(variables or []), language)
    raise typer.Exit(chat_command(options))


@app.command("call")
def call_service(
    score: Annotated[
        str | None, typer.Argument(help="what the caller does: a name of --list; demo, in the language of the settings")
    ] = None,
    url: Annotated[str | None, typer.Option(help="address of the service; the one on this machine")] = None,
    agent: Annotated[str | None, typer.Option(help="the name of the agent")] = None,
    variables: Annotated[list[str] | None, typer.Option("--set", help="name=value of a variable of the agent")] = None,
    sandbox_url: Annotated[
        str | None, typer.Option("--sandbox", help="address of a sandbox that the service takes for real vendors")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object a line")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="list what the caller can do, and call nobody")] = False,
) -> None:
    """Have a simulated caller call a running service, with API_KEY, and print what both sides say."""
    from app.cli.simulated_call import CallOptions, call_command, list_scores  # as for the demo
    from sandbox.caller.scores import SCORES

    if list_them:
        raise typer.Exit(list_scores(as_json=as_json))
    settings = load_settings()
    name = score or ("demo-ru" if settings.language.startswith("ru") else "demo-en")
    if name not in SCORES:
        raise typer.BadParameter(f"there is no score {name}; there are {', '.join(SCORES)}")
    made = SCORES[name].make(utc_now().date())
    options = CallOptions(url, agent, named_values(variables or []), made, sandbox_url, as_json)
    raise typer.Exit(call_command(settings, options))


@app.command("test")
def run_tests(
    files: Annotated[
        list[Path] | None, typer.Argument(help="files such as agents/clinic.tests.yaml, or folders with some")
    ] = None,
    from_call: Annotated[
        str | None, typer.Option("--from", help="id of a call: make a file of tests that holds it again")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="with --from: write it to this file, and the caller's sound beside it")
    ] = None,
    with_prompt: WithPrompt = None,
    with_model: WithModel = None,
    policy: Policy = None,
    audio: Annotated[
        bool, typer.Option("--audio/--text", help="hold the calls over sound, in real time; without it, in text")
    ] = False,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="how often to hold each call")] = 1,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="how many calls to hold at once")] = 4,
    junit: Annotated[Path | None, typer.Option(help="write the results as JUnit's XML to this file")] = None,
    dry_tools: Annotated[bool, typer.Option("--dry-tools", help="call no tool, even without a fixed answer")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="ask judges and personas again, and keep no answer")] = False,
) -> None:
    """Hold the calls of test files, and say which expectations were not met."""
    from app.cli.agent_tests import TestOptions, test_command
    from app.cli.recorded_tests import write_recorded_test

    if (from_call is None) is not bool(files):
        raise typer.BadParameter("give either files or --from")
    if from_call is not None:
        raise typer.Exit(write_recorded_test(from_call, output))
    changes = _changes(with_prompt, with_model, policy)
    options = TestOptions(files or [], repeat, parallel, junit, dry_tools, changes, audio, not fresh)
    raise typer.Exit(test_command(options))


@app.command()
def calls(
    text: Annotated[str | None, typer.Option(help="words that were said, or a part of a number or id")] = None,
    caller: Annotated[str | None, typer.Option("--from", help="the caller's number with its +, or its end")] = None,
    called: Annotated[str | None, typer.Option("--to", help="the called number, likewise")] = None,
    since: Annotated[str | None, typer.Option(help="started at this time or later: ISO 8601, UTC")] = None,
    until: Annotated[str | None, typer.Option(help="started before this time")] = None,
    status: Annotated[Status | None, typer.Option()] = None,
    direction: Annotated[Direction | None, typer.Option()] = None,
    agent: Annotated[str | None, typer.Option(help="the name of the agent")] = None,
    fault: Annotated[str | None, typer.Option(help="none, caller, carrier, ours, policy, or provider:<name>")] = None,
    end_reason: Annotated[str | None, typer.Option(help="such as caller_hangup or silence")] = None,
    outcome: Annotated[list[str] | None, typer.Option(help="field=value, as the analysis found it")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="the line, a vendor or the service failed")] = False,
    unanswered: Annotated[bool, typer.Option("--unanswered", help="a turn of the caller had no answer")] = False,
    late: Annotated[bool, typer.Option("--late", help="an answer was late")] = False,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="simulated calls instead")] = False,
    limit: Annotated[int, typer.Option(min=1, help="how many at most")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="as GET /calls returns them")] = False,
    url: Url = None,
) -> None:
    """List calls, newest first: those in the database of this machine, or of a service elsewhere."""
    from app.cli.calls import calls_command, wanted_calls  # the database's library

    wanted = wanted_calls(
        text=text, caller=caller, called=called, since=since, until=until, status=status, direction=direction,
        agent=agent, outcome=outcome or [], fault=fault, end_reason=end_reason, failed=failed or None,
        unanswered=unanswered or None, late=late or None, synthetic=synthetic,
    )  # fmt: skip
    raise typer.Exit(calls_command(wanted, limit=limit, as_json=as_json, address=url))


@app.command()
def explain(
    call_id: Annotated[
        str | None, typer.Argument(help="the id of the call, or of a webhook about it, or the beginning of one")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="the newest call")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="the newest call in which the line, a vendor or the service failed")
    ] = False,
    url: Url = None,
) -> None:
    """Show a call from its journal: what happened, what went wrong, and how long the answers took."""
    from app.cli.explain import explain_command  # the database's library
    from app.storage.call_lists import CallFilter

    if [call_id is not None, last, failed].count(True) != 1:
        raise typer.BadParameter("give the id of a call, or --last, or --failed")
    wanted = CallFilter(failed=failed or None, synthetic=None if call_id else False)
    raise typer.Exit(explain_command(call_id, wanted, url))


@app.command()
def replay(
    call_id: CallId,
    with_prompt: WithPrompt = None,
    with_model: WithModel = None,
    policy: Policy = None,
    agent: Annotated[
        str | None, typer.Option(help="with another prompt or model: the agent's name or file; the call's own")
    ] = None,
) -> None:
    """Run a call's journal through this version, and show where it, or another policy or model, decides differently."""
    from app.cli.replay import replay_command  # as for chat

    raise typer.Exit(replay_command(call_id, _changes(with_prompt, with_model, policy), agent))


@app.command()
def verify(
    call_id: CallId,
    seal: Annotated[str | None, typer.Option(help="the seal that you kept, instead of the one in the record")] = None,
) -> None:
    """Check that a call's journal is as it was when the call ended."""
    from app.cli.verify import verify_command  # the database's library

    raise typer.Exit(verify_command(call_id, seal))


@app.command()
def backup(target: Annotated[Path, typer.Argument(help="the file to write; it must not exist")]) -> None:
    """Write database and recordings to one file, also while the service runs."""
    from app.cli.backup import backup_command  # the database's library

    raise typer.Exit(backup_command(target))


@app.command()
def restore(source: Annotated[Path, typer.Argument(help="a file that backup has written")]) -> None:
    """Put a backup back, into a DATA_DIR that has no calls yet."""
    from app.cli.backup import restore_command

    raise typer.Exit(restore_command(source))


def _changes(prompt: Path | None, model: str | None, policy: list[str] | None) -> "Changes":
    """What an agent is to be other than it is. Raises typer.BadParameter."""
    from app.agent_tests.changes import Changes, policy_settings

    try:
        return Changes(prompt, model, policy_settings(named_values(policy or [])))
    except SettingsError as error:
        raise typer.BadParameter(error.problems[0]) from error


def named_values(given: list[str]) -> dict[str, str]:
    """The values of ``--set name=value``, by name. Raises typer.BadParameter."""
    wrong = [each for each in given if "=" not in each or each.startswith("=")]
    if wrong:
        raise typer.BadParameter(f"--set {wrong[0]}: write name=value")
    return {name.strip(): value for name, _, value in (each.partition("=") for each in given)}


def main() -> None:
    """Entry point. Prints wrong settings as plain lines."""
    try:
        app()
    except SettingsError as error:
        print_problems(error)
        sys.exit(SETTINGS_STATUS)
