"""The description of the interface, proven by a client that was made from it and nothing else."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter

from app.main import create_app
from media.formats import AudioFormat
from media.recording import Recorder
from routers.schemas import Problem
from tests.end_to_end.service import API_KEY, RunningService, service_in_thread, settings_for
from tests.routers.kept_calls import keep_call

AUDIO = AudioFormat("pcm_s16le", 8000)
ENDED = [("call.created", {"language": "ru"}), ("call.answered", {}), ("call.ended", {"reason": "silence"})]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(settings_for(tmp_path_factory.mktemp("description")))


@pytest.fixture(scope="module")
def operations(app: FastAPI) -> dict[str, dict[str, Any]]:
    paths = app.openapi()["paths"].values()
    return {operation["operationId"]: operation for methods in paths for operation in methods.values()}


def contents(operation: dict[str, Any]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            yield int(status), media_type, content


def test_every_operation_has_a_name_that_reads_well_and_a_sentence(operations: dict[str, dict[str, Any]]) -> None:
    assert {"list_calls", "get_call", "delete_call", "create_media_session", "open_session"} <= set(operations)
    assert all(name.replace("_", "").isalpha() and operation["description"] for name, operation in operations.items())


def test_every_body_has_an_example(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        bodies = operation.get("requestBody", {}).get("content", {}).values()
        assert all("example" in content for content in bodies), name
        assert all("example" in content for _, _, content in contents(operation)), name


def test_every_example_is_what_the_code_takes_and_gives(app: FastAPI, operations: dict[str, dict[str, Any]]) -> None:
    routes = {route.name: route for route in _routes(app) if route.name in operations}
    assert set(routes) == set(operations)
    for name, route in routes.items():
        for status, media_type, content in contents(operations[name]):
            if media_type == "application/json" and route.response_model is not None:
                TypeAdapter(route.response_model).validate_python(content["example"], strict=True)
            elif media_type == "application/problem+json":
                assert Problem.model_validate(content["example"]).status == status
        if route.body_field is not None:
            body = operations[name]["requestBody"]["content"]["application/json"]["example"]
            assert route.body_field.validate(body, {}, loc=())[1] == []


def _routes(app: FastAPI) -> list[APIRoute]:
    return [context.route for context in iter_route_contexts(app.routes) if isinstance(context.route, APIRoute)]


def test_errors_are_described_as_problem_documents(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        for status, media_type, _ in contents(operation):
            assert (media_type == "application/problem+json") == (status >= 400), name
    assert {"401", "403", "404", "409", "422", "429", "503"} <= set(operations["delete_call"]["responses"])


def test_the_doors_that_need_a_key_say_which(app: FastAPI, operations: dict[str, dict[str, Any]]) -> None:
    schemes = app.openapi()["components"]["securitySchemes"]

    assert (schemes["bearer"]["scheme"], schemes["cookie"]["in"]) == ("bearer", "cookie")
    assert operations["list_calls"]["security"] == [{"bearer": []}, {"cookie": []}]
    assert "security" not in operations["get_health"]


@pytest.fixture(scope="module")
def client(app: FastAPI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A package that ``openapi-python-client`` has written from the description."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(app.openapi()), encoding="utf-8")
    (folder / "config.yaml").write_text(
        "post_hooks: []\npackage_name_override: made_client\n"
        "content_type_overrides: {audio/wav: application/octet-stream, application/zip: application/octet-stream}\n",
        encoding="utf-8",
    )
    command = [str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--meta", "none"]
    options = ["--path", "openapi.json", "--config", "config.yaml", "--output-path", "made_client"]
    made = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    yield importlib.import_module("made_client")
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_client"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_in_thread(tmp_path_factory.mktemp("service")) as running:
        told = {"caller_number": "+79990000001", "end_reason": "silence", "recording": True, "duration_seconds": 1.0}
        keep_call(running.settings.data_dir, "call_kept", ENDED, **told)
        recorder = Recorder(running.settings.recordings_dir / "call_kept", "worker", AUDIO)
        recorder.caller(b"\x01\x02" * AUDIO.sample_rate, 0.0)
        recorder.close()
        assert recorder.join(60)
        yield running


def test_a_client_made_from_the_description_works(client: ModuleType, service: RunningService) -> None:
    doors = client.AuthenticatedClient(base_url=service.url, token=API_KEY, httpx_args={"trust_env": False})
    list_calls, get_call, delete_call = (
        importlib.import_module(f"made_client.api.calls.{name}") for name in ("list_calls", "get_call", "delete_call")
    )
    create = importlib.import_module("made_client.api.media.create_media_session")
    get_recording = importlib.import_module("made_client.api.calls.get_recording")
    models = importlib.import_module("made_client.models")

    with doors:
        page = list_calls.sync(client=doors, from_="+79990000001", limit=10)
        assert [(call.call_id, call.end_reason) for call in page.calls] == [("call_kept", "silence")]
        call = get_call.sync("call_kept", client=doors)
        assert (call.started_at.year, call.turns) == (2026, [])
        assert (call.costs.total, call.costs.currency, call.token_usage.prompt) == (None, "USD", 0)
        sound = get_recording.sync("call_kept", client=doors).payload.read()
        assert (sound[:4], len(sound) > AUDIO.sample_rate) == (b"RIFF", True)
        session = create.sync(client=doors, body=models.SessionRequest(caller="+79990000002"))
        assert session.url.startswith("ws://")
        missing = get_call.sync_detailed("call_none", client=doors)
        assert (missing.status_code, missing.parsed.code) == (404, "call_not_found")
        assert isinstance(missing.parsed, models.Problem)
        assert delete_call.sync_detailed("call_kept", client=doors).status_code == 204

    stranger = client.AuthenticatedClient(base_url=service.url, token="wrong", httpx_args={"trust_env": False})
    with stranger:
        assert list_calls.sync(client=stranger).code == "unauthorized"
