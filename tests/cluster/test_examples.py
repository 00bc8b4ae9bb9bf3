# SPDX-License-Identifier: Apache-2.0
"""Every example can be applied to a cluster without changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy.manifests import Manifests, load_manifests
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.kubectl import Kubectl

EXAMPLES = CHECKOUT / "examples"
NAMESPACES = EXAMPLES / "demo" / "namespaces.yaml"
FILES = sorted(EXAMPLES.rglob("*.yaml"))


def names(manifests: Manifests) -> list[list[str]]:
    return [
        sorted(policy.name for policy in manifests.policies),
        sorted(namespace.name for namespace in manifests.namespaces),
        sorted(pod.name for pod in manifests.pods),
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_an_example_can_be_applied(kubectl: Kubectl, file: Path, tmp_path: Path) -> None:
    """The objects of an example, also its pods, can be applied. `oompolicy` can read the output of `kubectl get`."""
    kubectl("apply", "-f", str(NAMESPACES))
    kubectl("apply", "-f", str(file))
    printed = tmp_path / "printed.yaml"
    printed.write_text(kubectl("get", "-f", str(file), "-o", "yaml"))

    example, stored = load_manifests([file], stand_in_uids=True), load_manifests([printed])
    assert (names(example), ()) == (names(stored), stored.problems)
