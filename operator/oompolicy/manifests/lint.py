# SPDX-License-Identifier: Apache-2.0
"""Say what is wrong with manifests, beyond what keeps them from being read."""

from collections.abc import Iterator

from oompolicy.manifests import Manifests
from oompolicy.model import Pod
from oompolicy.parse.problems import Problem
from oompolicy.resolve.annotations import read_annotations


def problems_of(manifests: Manifests) -> tuple[Problem, ...]:
    """All problems: of reading, then annotations that no policy whatever could allow.

    Whether a policy allows the others is not asked, since the policies may well be in another file.
    """
    files = [file for file, raw in manifests.objects if raw.get("kind") == "Pod"]
    annotations = (
        problem for file, pod in zip(files, manifests.pods, strict=True) for problem in _of_annotations(file, pod)
    )
    return (*manifests.problems, *annotations)


def _of_annotations(file: str | None, pod: Pod) -> Iterator[Problem]:
    for refusal in read_annotations(pod).malformed:
        field = f"metadata.annotations[{refusal.annotation}]"
        yield Problem(file, f"Pod/{pod.namespace}/{pod.name}", field, refusal.message)
