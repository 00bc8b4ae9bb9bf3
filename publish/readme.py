# SPDX-License-Identifier: Apache-2.0
"""Write the README of the chart from its values: `make generated`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from publish.project import CHART, Project
from publish.values import Value, read_values

if TYPE_CHECKING:
    from collections.abc import Iterator

# A page of the documentation, and a heading on it.
_PAGE: Final = re.compile(r"(docs/[\w-]+\.md)(?:#[\w-]+)?")

_HEAD: Final = """\
<!-- `make generated` writes this file from values.yaml. Do not edit it. -->

# oompolicy

When a Linux node runs out of memory, the kernel kills a process.
With oompolicy you give pods a priority, and the kernel kills the lowest priority first.
For every process killed you get an Event on its pod with the reason.

The chart installs an operator, and on each node an agent, a loader, which attaches a BPF program to the kernel, and an
adjuster, which enforces by `oom_score_adj` on a node where the program cannot choose.

## Install

You need Kubernetes 1.30 or newer, Helm 4, and nodes that meet [the requirements]({kernels}).

```sh
kubectl create namespace oompolicy-system
kubectl label namespace oompolicy-system pod-security.kubernetes.io/enforce=privileged
helm install oompolicy oci://{registry}/charts/oompolicy --version {version} --namespace oompolicy-system
kubectl get oomnodes
```

The label is necessary because agents mount folders of their node.
In the mode `Audit` of a new installation, the kernel still chooses each victim: [before you enforce]({enforce}).

Helm does not upgrade CustomResourceDefinitions: see [upgrade and uninstall]({upgrade}).

## Values

Chart {version} refuses every key that is not in these tables.
"""


def render(values: str, project: Project) -> str:
    """Return the README for the text of values.yaml."""
    head = _HEAD.format(
        version=project.version,
        registry=project.registry,
        enforce=project.file("docs/enforce.md"),
        kernels=project.file("docs/kernels.md"),
        upgrade=project.file("docs/upgrade.md"),
    )
    tables = "\n".join(_lines(list(read_values(values))))
    return f"{head}\n{_PAGE.sub(lambda found: f'[{found[1]}]({project.file(found[0])})', tables)}"


def _lines(values: list[Value]) -> Iterator[str]:
    alone = [each for each in values if len(each.path) == 1 and not each.is_section]
    yield from _table("All objects", "", alone)
    for section in (each for each in values if each.is_section):
        below = [each for each in values if each.path[0] == section.path[0] and each is not section]
        yield from _table(f"`{section.path[0]}`", section.comment, below)


def _table(heading: str, comment: str, values: list[Value]) -> Iterator[str]:
    yield from (f"### {heading}", "", *((comment, "") if comment else ()))
    yield from ("| value | default | meaning |", "|---|---|---|")
    for each in values:
        name, default = ".".join(each.path), "" if each.default is None else f"`{each.default}`"
        yield f"| `{name}` | {default} | {each.comment.replace('|', '&#124;')} |"
    yield ""


def main() -> None:
    """Write the file."""
    (CHART / "README.md").write_text(render((CHART / "values.yaml").read_text(), Project.load()))


if __name__ == "__main__":
    main()
