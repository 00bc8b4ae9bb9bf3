# SPDX-License-Identifier: Apache-2.0
"""The kustomize bases have the definitions and the namespace of this commit. If a test fails, run `make generated`.

`tests/cluster/chart/test_gitops.py` compares all other objects with the chart, which needs Helm.
"""

from __future__ import annotations

import yaml

from publish import kustomize
from tests.unit.docs.page import CHECKOUT


def test_the_base_of_definitions_is_that_of_crds() -> None:
    """A definition of an earlier commit would make the API server refuse reports of new agents."""
    base = yaml.safe_load_all((kustomize.BASES / "crds/definitions.yaml").read_text())

    assert kustomize.definitions() == list(base)


def test_the_base_has_the_namespace_and_the_rules_of_deploy() -> None:
    """Labels do not matter. The base has the rule for Kubernetes versions that cannot restrict an agent to its pods."""
    base = list(yaml.safe_load_all((kustomize.BASES / "base/oompolicy.yaml").read_text()))
    left_out = {"agent-pods-impersonated.yaml", "namespace.yaml"}
    files = [file for file in sorted((CHECKOUT / "deploy").glob("*.yaml")) if file.name not in left_out]
    rules = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    found = {(each["kind"], each["metadata"]["name"]): each for each in base}
    for each in base[1:]:
        each["metadata"].pop("labels")

    assert kustomize.namespace() == base[0]
    assert len(rules) > 10
    assert rules == [found[each["kind"], each["metadata"]["name"]] for each in rules]
