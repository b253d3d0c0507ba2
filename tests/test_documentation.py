"""What the documents say is what the code does: settings, metrics, states, events, verbs, links."""

import ast
import re
import shlex
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric
from prometheus_fastapi_instrumentator import Instrumentator

from app import errors
from app.clients.fallback.race import FallbackFailed
from app.conversation.events import EVENT_TYPES
from app.conversation.phases import ALLOWED, PHASE_TRANSITIONS, CallPhase
from app.conversation.states import TRANSITIONS
from app.models import ConversationState
from app.observability.metrics import Metrics
from app.settings import Settings, load_settings, setting_names
from media.errors import MediaError
from routers.schemas import Call, Failure, Tool, Turn
from sandbox.caller import faults as caller_faults
from sandbox.vendors.faults import GENERAL, NAMED
from tests.routers.test_dashboard import ENDS
from tests.support.env_example import ROOT, env_example
from tests.support.sources import documents, python_files, text, tree

GUIDES = (
    "README.md", "ARCHITECTURE.md", "docs/agent.md", "docs/media.md", "docs/running.md", "docs/telephone-calls.md",
    "docs/telephony.md", "docs/webhooks.md",
)  # fmt: skip
NOT_SETTINGS = {"ARGS", "FORWARDED_ALLOW_IPS"}
"""Names in capitals that a guide may give a value and that the Makefile or uvicorn reads, not the service."""


def test_the_example_of_the_environment_is_written_from_the_settings() -> None:
    assert text(".env.example") == env_example(), "run: make env-example"


def test_the_example_of_the_environment_names_every_setting_once() -> None:
    lines = [
        line.lstrip("#").partition("=")[0] for line in text(".env.example").splitlines() if re.match("#?[A-Z]", line)
    ]

    assert len(lines) == len(set(lines)) == len(Settings.model_fields)
    assert set(lines) <= setting_names()


def test_the_example_of_the_environment_changes_nothing() -> None:
    assert load_settings(str(ROOT / ".env.example")) == load_settings(None)


def test_the_defaults_in_the_example_are_those_of_the_service(tmp_path: Path) -> None:
    everything = tmp_path / "everything.env"
    everything.write_text(re.sub(r"^#(?=[A-Z_]+=)", "", text(".env.example"), flags=re.M), encoding="utf-8")

    assert load_settings(str(everything)) == load_settings(None)


async def test_the_list_of_metrics_names_every_metric_and_no_other_and_says_what_it_means() -> None:
    rows = re.findall(r"^\| (`(?:voice|http)_.*?) \| (.*) \|$", text("docs/metrics.md"), re.M)
    named = [name for names, _ in rows for name in re.findall(r"`(\w+)(?:\{.*?\})?`", names)]
    metrics, app = Metrics(), FastAPI()
    Instrumentator(registry=metrics.registry).instrument(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as http:
        await http.get("/")  # its own metrics are made with the first request

    assert [names for names, meaning in rows if not meaning.strip()] == []
    assert sorted(named) == sorted(map(_exposed_name, metrics.registry.collect()))


@pytest.mark.parametrize(
    "document", ["docs/operations.md", "deploy/prometheus/rules.yaml", "deploy/grafana/dashboard.json"]
)
def test_alerts_and_charts_are_about_metrics_that_exist(document: str) -> None:
    named = set(re.findall(r"\bvoice_\w+", text(document)))
    exposed = set()
    for family in Metrics().registry.collect():
        parts = ("_bucket", "_count", "_sum") if family.type == "histogram" else ("",)
        exposed |= {_exposed_name(family) + part for part in parts}
        exposed.add(family.name)

    assert named - exposed == set()


def test_every_alert_has_a_paragraph_and_cases_in_which_it_fires_and_does_not() -> None:
    alerts = re.findall(r"^ +- alert: (\w+)$", text("deploy/prometheus/rules.yaml"), re.M)
    cases = re.findall(r"^ +- name: (.+)$", text("deploy/prometheus/rules.test.yaml"), re.M)

    assert re.findall(r"^## (\w+)\n\n\S", text("docs/operations.md"), re.M) == alerts
    assert cases == [f"{alert} {outcome}" for alert in alerts for outcome in ("fires", "does not fire")]


def test_the_log_is_explained_event_by_event() -> None:
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", text("docs/log.md")))

    assert named == set(_logged())


def _logged() -> Iterator[str]:
    """Events of the log at the levels that are on unless somebody asks for more."""
    for node in (node for path in python_files("app", "routers", "media") for node in ast.walk(tree(path))):
        match node:
            case ast.Call(ast.Attribute(ast.Name("log"), "info" | "warning" | "error"), [ast.Constant(str(event)), *_]):
                yield event
            case ast.Call(ast.Name("Outage"), [ast.Constant(str(begins)), ast.Constant(str(ends))]):
                yield from (begins, ends)


def _exposed_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_every_field_of_a_record_is_told_and_no_other() -> None:
    record, turns, tools, failures, ends = re.split(r"^## .*$", text("docs/record.md"), flags=re.M)

    assert _first_column(record) == set(Call.model_fields)
    assert _first_column(turns) == set(Turn.model_fields)
    assert _first_column(tools) == set(Tool.model_fields)
    assert _first_column(failures) == set(Failure.model_fields)
    assert _first_column(ends) == ENDS


def _first_column(table: str) -> set[str]:
    """What is in code in it, its head left out."""
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")][1:]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize(
    ("heading", "start", "table"),
    [
        ("Who has the floor", ConversationState.LISTENING, TRANSITIONS),
        ("How far the call is", CallPhase.RINGING, PHASE_TRANSITIONS),
    ],
)
def test_a_diagram_is_its_table(heading: str, start: StrEnum, table: Mapping[StrEnum, frozenset[StrEnum]]) -> None:
    diagrams = dict(
        re.findall(r"^## (.+)\n\n```mermaid\nstateDiagram-v2\n((?:.+\n)+?)```", text("ARCHITECTURE.md"), re.M)
    )
    arrows = {tuple(pair) for pair in re.findall(r"^\s*(\S+) --> (\w+)", diagrams[heading], re.M)}

    assert arrows == {("[*]", start.name)} | {
        (one.name, other.name) for one, others in table.items() for other in others
    }


def test_the_architecture_tells_which_events_count_in_which_phase_and_state() -> None:
    section = text("ARCHITECTURE.md").partition("## How far the call is\n")[2].partition("\n## ")[0]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| ")]
    told: dict[tuple[str, str], set[str]] = {}
    for names, *cells in lines[1:]:
        for head, cell in zip(lines[0][1:], cells, strict=True):
            phase, *states = re.findall(r"\w+", head)
            for state in states:
                told.setdefault((phase, state), set()).update(
                    re.findall(r"[a-z_.]+", names) if cell == "counts" else []
                )

    assert told == {
        (phase.name, state.name): {event.type for event in allowed} for (phase, state), allowed in ALLOWED.items()
    }


def test_the_architecture_lists_every_event_and_no_other() -> None:
    families = "|".join({name.partition(".")[0] for name in EVENT_TYPES})
    named = set(re.findall(rf"`((?:{families})\.[a-z_]+)`", text("ARCHITECTURE.md")))

    assert named == set(EVENT_TYPES)


def test_the_map_names_only_files_and_names_that_exist() -> None:
    paths = [*python_files("app", "routers", "media", "sandbox", "tests", "bench"), *documents()]
    paths += [path.relative_to(ROOT).as_posix() for path in ROOT.glob("routers/static/*.js")]
    paths += [path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/support/*.c")]
    words = {word.lower() for path in paths if path.endswith(".py") for word in re.findall(r"\w+", text(path))}
    words |= {Path(path).stem for path in paths}
    prose = re.sub(r"```.*?```", "", text("ARCHITECTURE.md"), flags=re.S)

    quoted = re.findall(r"`([^`\n]+)`", prose)
    files = {name for name in quoted if re.fullmatch(r"[\w./-]+\.(py|js|c|md)", name)}
    names = {name for each in quoted for name in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+|\b[a-z]+_\w+", each)}
    assert {name for name in files if not any(f"/{path}".endswith(f"/{name}") for path in paths)} == set()
    assert {name for name in names if name.lower() not in words} == set()


def test_the_task_ledger_has_every_task_that_is_named_where_it_is_started() -> None:
    ledger = text("ARCHITECTURE.md").partition("## Task ledger")[2].partition("\n## ")[0]
    listed = {re.sub(r"<[^>]+>", "<>", name) for name in re.findall(r"`([^`]+)`", ledger)}

    assert {name for path in python_files("app", "media") for name in _task_names(path)} - listed == set()


def _task_names(path: str) -> Iterator[str]:
    """As they stand in the call, ``<>`` for what is filled in; a client's own tasks are in its docstrings."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.Call(ast.Attribute(attr="create_task"), keywords=[ast.keyword("name", value)]):
                parts = value.values if isinstance(value, ast.JoinedStr) else [value]
                name = "".join(str(part.value) if isinstance(part, ast.Constant) else "<>" for part in parts)
                if name != "<>" and not path.startswith("app/clients/"):
                    yield name


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_only_settings_that_exist(guide: str) -> None:
    given = re.findall(r"(?<![\w$.{-])([A-Z][A-Z0-9_]+)=", _code_of(guide))
    mentioned = re.findall(r"(?<![\w$.{-])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?![\w(.])", _code_of(guide))

    assert {*given, *mentioned} - NOT_SETTINGS - setting_names() == set()


@pytest.mark.parametrize("guide", documents())
def test_a_verb_of_make_exists(guide: str) -> None:
    verbs = set(re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.M))
    named = {match for code in _code_spans(guide) for match in re.findall(r"(?:^|&& |; )make ([a-z-]+)", code, re.M)}

    assert named <= verbs


def test_every_verb_of_make_is_told_by_help_and_declared() -> None:
    declared = re.search(r"^\.PHONY: (.+)$", text("Makefile"), re.M)

    assert declared
    assert set(shlex.split(declared[1])) == set(re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.M))


@pytest.mark.parametrize("document", documents())
def test_a_link_within_the_project_leads_somewhere(document: str) -> None:
    lost = [
        link
        for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", _prose_of(document))
        if not _leads_somewhere(document, link)
    ]

    assert lost == []


def _leads_somewhere(document: str, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = ROOT / PurePosixPath(document).parent / name if name else ROOT / document
    if not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in _anchors(target.read_text(encoding="utf-8"))


def _anchors(markdown: str) -> Iterator[str]:
    """What a heading is linked by: its words, small, with hyphens."""
    for heading in re.findall(r"^#+ +(.+)$", re.sub(r"^```.*?^```", "", markdown, flags=re.M | re.S), re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _prose_of(document: str) -> str:
    return re.sub(r"^```.*?^```", "", text(document), flags=re.M | re.S)


def _code_spans(document: str) -> list[str]:
    """Blocks of code, and code within lines."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text(document), re.M | re.S)
    return [*blocks, *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", _prose_of(document))]


def _code_of(document: str) -> str:
    return "\n".join(_code_spans(document))


@pytest.mark.parametrize(
    ("heading", "faults"), [("Any vendor", GENERAL), *NAMED.items(), ("The caller", caller_faults.NAMED)]
)
def test_every_fault_of_the_sandbox_is_in_its_document(heading: str, faults: dict[str, str]) -> None:
    section = text("docs/faults.md").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)) == faults


BASES = {"ProviderError", "CallStateError", "AdmissionError", "TokenError", "MediaError"}
"""Errors that are only caught, never raised."""
CATEGORIES = ("the connection", "the limit", "the refusal", "the content", "our own")


def errors_below(cls: type[Exception]) -> Iterator[type[Exception]]:
    for below in cls.__subclasses__():
        yield below
        yield from errors_below(below)


def errors_of_the_service() -> dict[str, type[Exception]]:
    found = [*errors_below(errors.VoiceAgentError), FallbackFailed, *errors_below(MediaError)]
    ours = {cls.__name__: cls for cls in found if cls.__module__.split(".")[0] in ("app", "media")}
    return {name: cls for name, cls in ours.items() if name not in BASES}


def categories() -> list[tuple[str, list[str], str]]:
    """Category, names of errors, and whether they may be tried again."""
    section = text("ARCHITECTURE.md").partition("## Errors\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:2] == "| "]
    return [(category, re.findall(r"`(\w+)`", names), again) for category, names, again, _ in cells[1:]]


def test_there_are_five_categories_of_errors() -> None:
    assert tuple(dict.fromkeys(category for category, _, _ in categories())) == CATEGORIES


def test_every_error_is_in_one_category() -> None:
    told = [name for _, names, _ in categories() for name in names]
    assert sorted(told) == sorted(errors_of_the_service())


def test_what_may_be_tried_again_says_so_itself() -> None:
    known = errors_of_the_service()
    for _, names, again in categories():
        for name in names:
            if again != "-":
                assert getattr(known[name], "retryable", False) is (again == "yes"), name
