# SPDX-License-Identifier: Apache-2.0
"""The kustomize bases are the chart with its defaults, and the manifests of docs/gitops.md do as the page says."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from publish import kustomize
from tests.cluster.chart.helm import CHART
from tests.cluster.chart.scenarios import containers, pod_templates
from tests.cluster.needed import ensured
from tests.cluster.tools import TOOLS
from tests.unit.docs.page import CHECKOUT, DOCS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.binaries import Binaries
    from tests.cluster.chart.helm import Helm
    from tests.cluster.kubectl import Kubectl

PAGE = (DOCS / "gitops.md").read_text()
MANIFESTS = [
    each
    for block in re.findall(r"^```yaml[^\n]*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for each in yaml.safe_load_all(block)
]
HEALTH = "resource.customizations.health.oompolicy.dev_OOMPolicy"


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = (each for each in MANIFESTS if each.get("kind") == kind)
    return dict(found)


def built(binaries: Binaries, folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run([str(binaries.kubectl), "kustomize", str(folder)], stdout=subprocess.PIPE, check=True)
    return list(yaml.safe_load_all(done.stdout))


def test_the_bases_are_the_chart_with_its_defaults(helm: Helm, binaries: Binaries) -> None:
    """`make generated` writes them. Only the hooks and the labels of a release of Helm are left out."""
    rendered = helm.template("--include-crds", "--no-hooks", version=None)
    expected = by_name([kustomize.without_helms_labels(each) for each in rendered])
    namespace = yaml.safe_load((CHECKOUT / "deploy/namespace.yaml").read_text())
    bases = [*built(binaries, kustomize.BASES / "crds"), *built(binaries, kustomize.BASES / "base")]

    assert len(expected) > 20
    assert by_name([namespace]) | expected == by_name(bases)
    assert len(expected) + 1 == len(bases)


def test_a_label_of_helm_is_left_out_in_pods_too() -> None:
    """Labels that are true without Helm stay."""
    labels = {"app.kubernetes.io/name": "oompolicy", **dict.fromkeys(kustomize.HELMS_LABELS, "x")}
    given = {"metadata": {"labels": labels}, "spec": [{"metadata": {"labels": labels}}, 1]}
    kept = {"labels": {"app.kubernetes.io/name": "oompolicy"}}

    assert {"metadata": kept, "spec": [{"metadata": kept}, 1]} == kustomize.without_helms_labels(given)


@pytest.mark.parametrize("base", ["crds", "base"])
def test_an_api_server_accepts_a_base(kubectl: Kubectl, base: str) -> None:
    """It knows every field, and it stores nothing."""
    flags = ("--server-side", "--validate=strict", "--dry-run=server", "--field-manager=kustomize", "--force-conflicts")
    kubectl("apply", "--server-side", "-f", str(CHECKOUT / "deploy/namespace.yaml"), "--force-conflicts")

    printed = kubectl("apply", *flags, "-k", str(kustomize.BASES / base), "-o", "name")
    assert len(printed.splitlines()) >= 2


def test_the_overlay_of_the_page_changes_images_and_one_argument(binaries: Binaries, tmp_path: Path) -> None:
    """kustomize refuses a patch of an object that the base does not have."""
    overlay = of_kind("Kustomization")
    assert ["https://git.example/platform/oompolicy//kustomize/base?ref=v0.1.0"] == overlay["resources"]
    overlay["resources"] = [os.path.relpath(kustomize.BASES / "base", tmp_path)]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    pods = dict(pod_templates(built(binaries, tmp_path)))
    images = {each["image"] for pod in pods.values() for each in containers(pod).values()}

    assert {f"registry.example/platform/{name}:0.1.0" for name in ("oompolicy", "oompolicy-loader")} == images
    assert "--log-format=json" == containers(pods["oompolicy-agent"])["agent"]["args"][-1]


@pytest.mark.parametrize(
    ("kind", "path"), [("Application", ("source", "helm", "valuesObject")), ("HelmRelease", ("values",))]
)
def test_the_chart_accepts_the_values_of_the_page(helm: Helm, tmp_path: Path, kind: str, path: tuple[str, ...]) -> None:
    """The images come from the registry of the page."""
    values = of_kind(kind)["spec"]
    for key in path:
        values = values[key]
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    pods = pod_templates(helm.template("--values", str(file)))

    assert {"registry.example/platform"} == {
        each["image"].rpartition("/")[0] for _, pod in pods for each in containers(pod).values()
    }


def test_the_versions_of_the_page_are_those_of_the_chart() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]

    assert (version, version) == (
        of_kind("Application")["spec"]["source"]["targetRevision"],
        of_kind("OCIRepository")["spec"]["ref"]["tag"],
    )


@pytest.fixture(scope="module")
def lua() -> Path:
    """A developer's machine may not reach the Go module proxy, and then the tests are skipped. CI must reach it."""
    return ensured(TOOLS.ensure, "no Lua") / "glua"


def table(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a value in the notation of Lua."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'["{key}"] = {table(each)}' for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(table, value)) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def ready(status: str, generation: int) -> dict[str, Any]:
    conditions = [
        {"type": "Overlapping", "status": "False", "message": "no", "observedGeneration": generation},
        {"type": "Ready", "status": status, "message": "the message", "observedGeneration": generation},
    ]
    return {"conditions": conditions}


WAITING = ("Progressing", "The operator has not checked the policy yet.")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, WAITING),
        ({"matchedPods": 3}, WAITING),
        (ready("True", 2), ("Healthy", "the message")),
        (ready("False", 2), ("Degraded", "the message")),
        (ready("Unknown", 2), ("Progressing", "the message")),
        (ready("True", 1), WAITING),
    ],
    ids=["new", "no conditions", "valid", "invalid", "unknown", "changed since"],
)
def test_the_health_check_reads_the_condition_of_this_generation(
    lua: Path, tmp_path: Path, status: dict[str, Any] | None, expected: tuple[str, str]
) -> None:
    """Argo CD waits for a policy that it has just changed, and reports an invalid policy."""
    (script,) = (each["data"][HEALTH] for each in MANIFESTS if HEALTH in each.get("data", {}))
    policy = {"metadata": {"generation": 2}, **({"status": status} if status else {})}
    file = tmp_path / "health.lua"
    called = f"local hs = (function()\n{script}end)()\nprint(hs.status)\nprint(hs.message)\n"
    file.write_text(f"obj = {table(policy)}\n{called}")
    done = subprocess.run([str(lua), str(file)], stdout=subprocess.PIPE, text=True, check=True)

    assert list(expected) == done.stdout.splitlines()
