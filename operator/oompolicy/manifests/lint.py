# SPDX-License-Identifier: Apache-2.0
"""Find mistakes in manifests, including annotations that no policy can allow."""

from collections.abc import Iterator

from oompolicy.manifests.collect import WITHOUT_PODS, Manifests
from oompolicy.model import Pod
from oompolicy.parse.problems import Problem
from oompolicy.parse.workload import template_path
from oompolicy.resolve.annotations import read_annotations


def problems_of(manifests: Manifests) -> tuple[Problem, ...]:
    """Return all problems of reading, then all annotations that no policy could allow.

    The other annotations are not checked against the policies, because those can be in another file.
    """
    files = [file for file, raw in manifests.objects if raw.get("kind") not in WITHOUT_PODS]
    annotations = (
        problem for file, pod in zip(files, manifests.pods, strict=True) for problem in _of_annotations(file, pod)
    )
    return (*manifests.problems, *annotations)


def _of_annotations(file: str | None, pod: Pod) -> Iterator[Problem]:
    template = template_path(pod.kind)
    for refusal in read_annotations(pod).malformed:
        field = f"{template and template + '.'}metadata.annotations[{refusal.annotation}]"
        yield Problem(file, f"{pod.kind}/{pod.namespace}/{pod.name}", field, refusal.message)
