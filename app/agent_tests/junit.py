"""Results as JUnit's XML, which CI systems show."""

from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree

from app.agent_tests.results import Attempt, ScenarioResult
from app.observability.printable import printable


def junit_xml(results: Sequence[ScenarioResult]) -> bytes:
    """One suite for each file, one case for each attempt at a scenario."""
    root = ElementTree.Element("testsuites")
    for file, scenarios in groupby(results, key=lambda result: result.file):
        cases = [(scenario, number, attempt) for scenario in scenarios for number, attempt in _numbered(scenario)]
        failed = sum(not attempt.passed for _, _, attempt in cases)
        suite = ElementTree.SubElement(root, "testsuite", name=file, tests=str(len(cases)), failures=str(failed))
        for scenario, number, attempt in cases:
            name = scenario.name if len(scenario.attempts) == 1 else f"{scenario.name} ({number})"
            seconds = f"{attempt.seconds:.3f}"
            case = ElementTree.SubElement(suite, "testcase", classname=file, name=printable(name), time=seconds)
            if not attempt.passed:
                told = _failures(attempt)
                failure = ElementTree.SubElement(case, "failure", message=told[0])
                failure.text = "\n".join(told)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _numbered(scenario: ScenarioResult) -> Sequence[tuple[int, Attempt]]:
    return list(enumerate(scenario.attempts, 1))


def _failures(attempt: Attempt) -> list[str]:
    told = [attempt.problem] if attempt.problem else []
    for check in attempt.checks:
        if not check.is_met:
            where = "" if check.turn is None else f" in turn {check.turn}"
            told.append(f"{check.expectation}: {check.why}{where}; {check.said}")
    return list(map(printable, told))
