"""The house keeps its own floors: who may import whom, how long things may be, and what must not be there at all."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any, get_args, get_type_hints

import pytest

import app.errors
from app.conversation.events import EVENT_TYPES, Event
from app.errors import VoiceAgentError
from tests.support.sources import LOADED_LATER, PACKAGES, ROOT, importers, python_files, text, tree

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 50

VENDORS = {
    "cartesia": {"app/clients/cartesia/batch.py"},
    "deepgram": {"app/clients/deepgram/batch.py"},
    "aiohttp": {"app/clients/livekit/api.py"},  # what LiveKit's client is built on
    "jwt": {"app/clients/livekit/webhooks.py"},
    "livekit": {
        "app/clients/livekit/api.py",  # rooms and calls
        "app/clients/livekit/sip_admin.py",  # trunks and rules
        "media/legs/room_announcement.py",  # joins for one sentence
        "media/legs/room.py",
        "media/legs/room_connection.py",
        "media/legs/room_audio.py",  # the agent's track
        "sandbox/carrier/carrier.py",  # tokens and trunks
        "sandbox/carrier/sip_requests.py",  # what is asked of livekit-sip, in protobuf
        "sandbox/carrier/telephone_line.py",  # who joins the room
    },
    "httpx2": {
        "app/clients/http_tools.py",
        "app/clients/mcp_protocol.py",  # what mcp speaks HTTP with
        "app/clients/mcp_tools.py",
        "app/clients/openai/connections.py",  # what the OpenAI client is built on, too
        "app/clients/sound_over_http.py",  # sound as the body of an answer
        "app/clients/tls.py",  # which authorities it trusts
        "app/clients/webhook_sender.py",
    },
    "mcp": {"app/clients/mcp_protocol.py"},
    "openai": {"app/clients/openai/connections.py"},
    "standardwebhooks": {
        "app/clients/webhook_sender.py",
        "sandbox/clinic/clinic.py",  # verifies as an operator's receiver does
    },
    "websockets": {  # a file for each far end
        "app/clients/cartesia/socket.py",
        "app/clients/own_door.py",
        "app/clients/stt_socket.py",
        "sandbox/caller/media_client.py",
        "sandbox/caller/twilio_line.py",
    },
}
SQL = ("aiosqlite", "alembic", "sqlalchemy", "sqlite3")
DOORS = ("app/main.py", "app/cli/serve.py", "routers/")

BOUNDED_OTHERWISE = {
    "routers/pacing.py _waiting": "one request or upgrade of each open connection",
    "app/calls/live/event_loop.py _waiting": "EventQueue.tell fails the call when too many wait",
    "app/calls/live/speech_track.py _unplayed": "one utterance of bounded length; playback takes it in real time",
    "app/clients/cartesia/utterance.py _unread": "the utterance fails when too many seconds of audio wait",
    "app/clients/piecewise.py _unread": "more sound than a piece of text can take ends its request",
    "app/clients/stream_state.py _waiting": "Events.put drops the oldest and counts it",
    "app/observability/log_writer.py _lines": "emit drops and counts what is more than lines_waiting",
    "app/storage/backlog.py rows": "Backlog.add counts all rows and refuses more",
    "media/playout.py _sent": "what has been played for some seconds is taken out; the lead bounds the rest",
    "media/playout.py _waiting": "one utterance, emptied when the next begins",
    "media/recording_writer.py _queue": "put drops what is more than bytes_waiting_max, and keeps its time as a gap",
    "media/legs/websocket.py _outbox": "too much unread audio or too many messages end the leg",
    "sandbox/caller/earpiece.py _queue": "the sound the service sent ahead, which is what the earpiece measures",
    "sandbox/caller/microphone.py _coming": "the sounds of one score",
    "sandbox/vendors/stage.py replies": "a script that a test wrote",
    "sandbox/vendors/stage.py utterances": "a script that a test wrote",
}
QUEUES = {"LifoQueue": "maxsize", "PriorityQueue": "maxsize", "Queue": "maxsize", "deque": "maxlen"}

STORIES = {"tests/calls", "tests/clients", "tests/conversation", "tests/media/dialects", "tests/media/legs"}
"""Here a file may be named for what happens in a call, where no module is."""
ABOUT_NO_MODULE = {
    "tests/end_to_end": "the running service",
    "tests/cli": "the commands as a person types them",
    "tests/browser": "the dashboard as a person sees it",
    "tests/matrix": "every field that the vendors' clients read",
    "tests/room": "telephone calls through a real livekit-server",
    "tests/routers/test_doors.py": "what all doors have in common",
    "tests/test_architecture.py": "the rules of the code",
    "tests/test_conftest.py": "the guards of the tests",
    "tests/test_deadlines.py": "how long the service waits for what",
    "tests/test_deploy.py": "what runs it elsewhere",
    "tests/test_kubernetes.py": "what runs it on Kubernetes",
    "tests/test_documentation.py": "the documents",
    "tests/test_public_functions.py": "what is public",
    "tests/test_packaging.py": "what is installed and deployed",
    "tests/test_vendor_names.py": "where vendors may be named",
}


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")

    outcome = subprocess.run([lint, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)

    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("package", VENDORS)
def test_a_vendors_package_stays_in_its_file(package: str) -> None:
    assert importers(package, *PACKAGES) == VENDORS[package]


def test_fastapi_stays_at_the_doors() -> None:
    assert {path for path in importers("fastapi", *PACKAGES) if not path.startswith(DOORS)} == set()


@pytest.mark.parametrize("started", ["app.cli.serve", "app.cli.worker, app.main"])
def test_a_start_does_not_wait_for_libraries_that_can_be_loaded_later_or_not_at_all(started: str) -> None:
    program = f"import sys, {started}; print({set(LOADED_LATER)} & sys.modules.keys())"

    outcome = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert outcome.stdout == "set()\n"


def test_no_test_patches_a_constant_of_a_module() -> None:
    """What a test needs to be shorter or smaller is a parameter with a default, so that the test says it itself."""
    patched = ast.parse('patch.setattr("app.a._LOOK_SECONDS", 1), patch.setattr(stage, f"_{name}_CALLS", 3)')
    assert list(_patched_constants(patched)) == ["_LOOK_SECONDS", "_X_CALLS"]
    assert [(path, name) for path in python_files("tests", "bench") for name in _patched_constants(tree(path))] == []


def _patched_constants(module: ast.Module) -> Iterator[str]:
    for call in ast.walk(module):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "setattr":
            for argument in call.args[:2]:
                name = _string(argument).rpartition(".")[2]
                if re.fullmatch("_?[A-Z][A-Z0-9_]+", name):
                    yield name


def _string(node: ast.expr) -> str:
    """A literal string; what is filled into it is X."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)


@pytest.mark.parametrize("package", SQL)
def test_sql_stays_in_storage(package: str) -> None:
    assert {path for path in importers(package, *PACKAGES) if not path.startswith("app/storage/")} == set()


def test_no_mocking_library_is_used() -> None:
    assert importers("unittest", *PACKAGES, "tests", "bench") == set()


def test_a_file_is_short_enough_to_be_read_at_once() -> None:
    lengths = {path: len(text(path).splitlines()) for path in python_files(*PACKAGES, "tests", "bench")}

    assert {path: lines for path, lines in lengths.items() if lines > MODULE_LINES_MAX} == {}


def test_a_function_is_short_enough_to_be_read_at_once() -> None:
    lengths = {
        f"{path} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in python_files(*PACKAGES, "tests", "bench")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


def test_a_file_is_named_for_its_concept() -> None:
    vague = {"base", "common", "helper", "helpers", "misc", "util", "utils"}

    assert [
        path for path in python_files(*PACKAGES, "tests", "bench") if vague & set(PurePosixPath(path).stem.split("_"))
    ] == []


def test_every_queue_has_an_end_or_a_reason() -> None:
    unbounded = {name for path in python_files(*PACKAGES) for name in _unbounded_queues(path)}

    assert unbounded == set(BOUNDED_OTHERWISE)


def _unbounded_queues(path: str) -> Iterator[str]:
    """``file name`` of every queue without an end, where the name is what it is assigned to."""
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        made = [call for call in ast.walk(node.value) if isinstance(call, ast.Call) and _last_name(call.func) in QUEUES]
        if any(not _is_bounded(call) for call in made):
            yield f"{path} {_last_name(target)}"


STARTS_TASKS = {
    "routers/listening.py": "of one socket that listens in; no call waits for it",
    "app/clients/own_door.py": "a call of the service to itself, which waits for the task that speaks",
    "app/service_loops.py": "the guard itself",
    "app/contained_tasks.py": "tasks that end by themselves; what they raise is logged, counted and reported",
    "app/calls/after/compression.py": "one program; what it raises is for who renews its lease",
    "app/calls/live/event_loop.py": "in the TaskGroup of the call",
    "app/calls/live/tts_synthesis.py": "in the TaskGroup of the call",
    "app/calls/live/session.py": "the TaskGroup of the call",
    "app/calls/live/voiced_ahead.py": "a TaskGroup inside that of the call",
    "app/calls/live/reply.py": "in the TaskGroup of the call",
    "app/calls/text/session.py": "the TaskGroup of the call",
    "app/cli/checks/findings.py": "the doctor's, which ends with its checks",
    "app/cli/demo_kill.py": "the demo's, which waits for it after its call",
    "app/cli/demo_telephone.py": "the demo's, which ends with its call",
    "app/cli/serve.py": "drains once, and then the process ends",
    "app/cli/trial_service.py": "serves the tests of agents, in a process that carries no real call",
    "app/cli/supervisor.py": "another process than the one that carries calls",
    "app/clients/cartesia/socket.py": "of one socket; its end fails the utterances on it",
    "app/clients/cartesia/client.py": "opens one socket; what it raises is for who waits for it",
    "app/clients/stt_socket.py": "of one socket; its end is told to the stream of the call",
    "app/clients/deepgram/client.py": "of one request; what it raises is for who waits for it",
    "app/clients/fallback/hearing_stream.py": "of one call's stream; what it raises is for who reads it",
    "app/clients/fallback/race.py": "of one request; what it raises is for who iterates",
    "app/clients/fallback/speech.py": "of one utterance; what it raises is for who iterates",
    "app/clients/loading.py": "makes a part, in a thread, for all who need it",
    "app/clients/openai/client.py": "opens connections; what it raises is for who waits for them",
    "app/clients/piecewise.py": "one request; what it raises is for who iterates",
    "app/clients/reconnecting.py": "of one call's stream; what it raises is for who reads it",
    "app/storage/database.py": "one read; what it raises is for who waits for it",
    "app/storage/dialects/listener.py": "one question of the loop that listens, which waits for it",
    "app/storage/dialects/postgres.py": "one write; what it raises is for who waits for it",
}
"""Files that start tasks, and why what a task raises ends no other but those that belong to the same call."""


def test_a_task_is_started_through_the_guard_or_for_a_reason() -> None:
    starters = {"create_task", "ensure_future", "TaskGroup"}
    found = {
        path
        for path in python_files("app", "routers")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and _last_name(node.func) in starters
    }

    assert found == set(STARTS_TASKS)


def test_a_child_process_gets_an_environment_that_was_chosen_for_it() -> None:
    """Ours holds the keys of the vendors."""
    starters = {
        "create_subprocess_exec",
        "create_subprocess_shell",
        "Popen",
        "run",
        "check_call",
        "check_output",
        "call",
    }
    found = [
        (path, node.lineno, {word.arg for word in node.keywords})
        for path in python_files("app", "routers", "media")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and (ast.unparse(node.func).startswith("subprocess.") or "subprocess_" in ast.unparse(node.func))
        and _last_name(node.func) in starters
    ]

    assert len(found) >= 4
    assert [(path, line) for path, line, words in found if "env" not in words] == []


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).partition("[")[0].rpartition(".")[2]


def _is_bounded(call: ast.Call) -> bool:
    kind = _last_name(call.func)
    limits = [word.value for word in call.keywords if word.arg == QUEUES[kind]] + call.args[int(kind == "deque") :][:1]
    return any(not (isinstance(limit, ast.Constant) and not limit.value) for limit in limits)


@pytest.mark.parametrize(
    ("source", "bounded"),
    [
        ("asyncio.Queue()", False),
        ("asyncio.Queue(0)", False),
        ("asyncio.Queue(maxsize=MAX)", True),
        ("Queue(100)", True),
        ("deque()", False),
        ("deque(first)", False),
        ("deque(first, 100)", True),
        ("deque[int](maxlen=MAX)", True),
        ("deque(maxlen=None)", False),
    ],
)
def test_an_end_is_seen_where_there_is_one(source: str, bounded: bool) -> None:
    call = ast.parse(source, mode="eval").body

    assert isinstance(call, ast.Call)
    assert _is_bounded(call) is bounded


def test_every_error_is_drawn_in_the_tree_where_it_stands() -> None:
    errors = {error.__name__: error for error in _subclasses(VoiceAgentError)}
    drawn = dict(_drawn_errors())

    assert {name: parent for name, (parent, _) in drawn.items()} == {
        name: error.__base__.__name__ for name, error in errors.items() if error.__base__
    }
    for name, error in errors.items():
        _, said = drawn[name]
        is_raised = not list(_subclasses(error))
        assert said.split()[0] == error.code or not is_raised, f"{name} has the code {error.code}"
        assert said.endswith(" retryable") == error.retryable or not is_raised, f"{name} is drawn wrongly"


def test_no_two_errors_share_a_code() -> None:
    errors: list[type[VoiceAgentError]] = [VoiceAgentError, *_subclasses(VoiceAgentError)]
    codes = [error.code for error in errors]

    assert len(codes) == len(set(codes))


def _subclasses(error: type[VoiceAgentError]) -> Iterator[type[VoiceAgentError]]:
    for child in error.__subclasses__():
        if child.__module__ == app.errors.__name__:
            yield child
            yield from _subclasses(child)


def _drawn_errors() -> Iterator[tuple[str, tuple[str, str]]]:
    """Name of each error in the drawing, with its parent and what is said of it."""
    parents = ["VoiceAgentError"]
    for found in re.finditer(
        r"^(?P<depth>(?:│ {3})*)[├└]── (?P<name>\w+) +(?P<said>.+)$", app.errors.__doc__ or "", re.M
    ):
        depth = len(found["depth"]) // 4
        parents[depth + 1 :] = [found["name"]]
        yield found["name"], (parents[depth], found["said"])


@pytest.mark.parametrize("event", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_an_event_is_a_fact_and_carries_no_sound(event: type[Event]) -> None:
    hints = get_type_hints(event)
    kinds = {kind for item in fields(event) for kind in _parts(hints[item.name])}

    assert kinds <= {str, int, float, bool, type(None), dict, tuple, list, Any}


def _parts(hint: Any) -> Iterator[Any]:
    """The plain types a hint is made of."""
    inner = [part for part in get_args(hint) if part is not Ellipsis]
    if not inner or isinstance(origin := getattr(hint, "__origin__", None), type):
        yield hint if not inner else origin
    for part in inner:
        yield from _parts(part)


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"TO[D]O|FIX[M]E|XX[X]")

    assert _found(marks) == {}


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert _found(re.compile(r"(?<![\w.])/(?:work|root|home|Users)/")) == {}


def _found(pattern: re.Pattern[str]) -> Mapping[str, list[str]]:
    written = [
        *python_files(*PACKAGES, "tests", "bench"),
        "pyproject.toml",
        "Makefile",
        ".ci/run",
        "Dockerfile",
        "fly.toml",
    ]
    found = {path: [line for line in text(path).splitlines() if pattern.search(line)] for path in written}
    return {path: lines for path, lines in found.items() if lines}


def test_the_tests_mirror_the_source() -> None:
    tests = [path for path in map(PurePosixPath, python_files("tests")) if path.name.startswith("test_")]

    about_modules = [path for path in tests if not {str(path), str(path.parent)} & set(ABOUT_NO_MODULE)]

    assert [str(path) for path in about_modules if not _has_subject(path)] == []


def _has_subject(test: PurePosixPath) -> bool:
    """Whether the folder that the test's folder mirrors has a module whose name begins with the same word."""
    folder = test.parent.relative_to("tests")
    is_whole = folder.parts and folder.parts[0] in (*PACKAGES, "bench")
    source = ROOT / (folder if is_whole else PurePosixPath("app", folder))
    subjects = {path.stem.partition("_")[0] for path in source.glob("*.py")}
    subject = test.stem.removeprefix("test_").partition("_")[0]
    return subject in subjects or (any(test.is_relative_to(story) for story in STORIES) and source.is_dir())
