"""The manifests for Kubernetes: valid, of one piece, and true of the service."""

from typing import Any

import pytest
from kubernetes_validate import validate
from ruamel.yaml import YAML

from app.settings import setting_names
from tests.support.sources import ROOT, text

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.37")
"""The oldest with a ``sleep`` before the stop, and a new one."""


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((FOLDER / name).read_text())
    return found


KUSTOMIZATION = read("kustomization.yaml")
MANIFESTS = {read(name)["kind"]: read(name) for name in KUSTOMIZATION["resources"]}
POD = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
[SERVICE] = POD["containers"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_fits_the_schema_of_kubernetes(kind: str, version: str) -> None:
    validate(MANIFESTS[kind], version, strict=True)


def test_the_kustomization_names_every_file_and_what_they_name_is_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {"kustomization.yaml", *KUSTOMIZATION["resources"]}
    name = MANIFESTS["Deployment"]["metadata"]["name"]
    assert {manifest["metadata"]["name"] for manifest in MANIFESTS.values()} == {name}
    assert [image["name"] for image in KUSTOMIZATION["images"]] == [SERVICE["image"]]
    assert [each["name"] for each in KUSTOMIZATION["configMapGenerator"]] == [name]
    assert MANIFESTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == name
    labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert MANIFESTS["Service"]["spec"]["selector"] == labels
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels


def test_settings_are_those_of_the_service() -> None:
    written = [line.split("=")[0] for line in KUSTOMIZATION["configMapGenerator"][0]["literals"]]
    assert set(written) <= setting_names()


def test_probes_ask_what_they_should() -> None:
    paths = {probe: SERVICE[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}
    [port] = SERVICE["ports"]
    assert f"PORT={port['containerPort']} " in text("Dockerfile")


def test_a_pod_has_the_time_to_end_its_calls() -> None:
    stops = SERVICE["lifecycle"]["preStop"]["sleep"]["seconds"]
    compose = YAML(typ="safe").load(text("deploy/compose.yaml"))["services"]["voice-agent"]["stop_grace_period"]
    assert POD["terminationGracePeriodSeconds"] == int(compose.removesuffix("s")) + stops


def test_a_new_pod_is_there_before_an_old_one_stops() -> None:
    assert MANIFESTS["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_metric_that_scales_is_one_of_the_service() -> None:
    [metric] = MANIFESTS["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"`{metric['pods']['metric']['name']}`" in text("docs/metrics.md")


def test_a_pod_runs_as_the_user_of_the_image_and_writes_to_its_volumes_alone() -> None:
    assert f"--uid {POD['securityContext']['runAsUser']} " in text("Dockerfile")
    assert SERVICE["securityContext"]["readOnlyRootFilesystem"]
    assert {mount["mountPath"] for mount in SERVICE["volumeMounts"]} == {"/data", "/tmp"}  # noqa: S108 - the pod's
    assert "VOLUME /data\n" in text("Dockerfile")
