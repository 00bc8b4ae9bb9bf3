# SPDX-License-Identifier: Apache-2.0
"""Write the kustomize bases from the chart with its defaults: `python3 -m publish.kustomize --helm PROGRAM`."""

from __future__ import annotations

import argparse
import subprocess
from typing import TYPE_CHECKING, Any, Final

import yaml

from publish.project import CHART, CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BASES: Final = CHECKOUT / "kustomize"
HELMS_LABELS: Final = ("app.kubernetes.io/managed-by", "helm.sh/chart")
"""Labels that are true only for a release of Helm."""
_HEAD: Final = """\
# SPDX-License-Identifier: Apache-2.0
# `make generated` writes this file. Do not edit it.
"""


def objects(helm: str) -> list[dict[str, Any]]:
    """Return the objects of the chart with its defaults, without Helm's hooks and without definitions."""
    place = ["--namespace", "oompolicy-system", "--no-hooks"]
    done = subprocess.run([helm, "template", "oompolicy", str(CHART), *place], stdout=subprocess.PIPE, check=True)
    rendered = [each for each in yaml.safe_load_all(done.stdout) if each]
    return [without_helms_labels(each) for each in rendered]


def without_helms_labels(each: Any) -> Any:  # noqa: ANN401 - YAML
    """Return the object without these labels, also in the templates of its pods."""
    if isinstance(each, dict):
        return {key: without_helms_labels(value) for key, value in each.items() if key not in HELMS_LABELS}
    return [without_helms_labels(one) for one in each] if isinstance(each, list) else each


def definitions() -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions."""
    return [yaml.safe_load(file.read_text()) for file in sorted((CHECKOUT / "crds").iterdir())]


def namespace() -> dict[str, Any]:
    """Return the namespace with its Pod Security label, which Helm does not create."""
    return dict(yaml.safe_load((CHECKOUT / "deploy/namespace.yaml").read_text()))


def write(file: Path, content: Iterable[dict[str, Any]]) -> None:
    """Write objects in the order of the chart."""
    file.write_text(_HEAD + yaml.safe_dump_all(content, sort_keys=False, width=120))


def main() -> None:
    """Write both bases."""
    parser = argparse.ArgumentParser(description="Write the kustomize bases.")
    parser.add_argument("--helm", required=True, help="the program")
    words = parser.parse_args()
    write(BASES / "crds/definitions.yaml", definitions())
    write(BASES / "base/oompolicy.yaml", [namespace(), *objects(words.helm)])


if __name__ == "__main__":
    main()
