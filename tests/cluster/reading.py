# SPDX-License-Identifier: Apache-2.0
"""Ask Kubernetes' own code how it reads texts and quantities: the program of `reader/`, built once."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.cluster.gobuild import GoPrograms

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCES = Path(__file__).parent / "reader"
PROGRAM = GoPrograms("reader", SOURCES, ("-trimpath", "."), "two minutes on two cores")

Documents = list[object]


class Readings(NamedTuple):
    """What Kubernetes reads, in the order of the questions; `None` for what it refuses."""

    texts: list[Documents | None]
    quantities: list[Decimal | None]


def read_by_kubernetes(texts: Sequence[str] = (), quantities: Sequence[str] = ()) -> Readings:
    """Texts as kubectl reads a file, quantities (as JSON) as the API server does. All in one run."""
    question = json.dumps({"texts": texts, "quantities": quantities})
    argv = [str(PROGRAM.ensure() / "reader")]
    said = json.loads(subprocess.run(argv, input=question, capture_output=True, text=True, check=True).stdout)
    return Readings(
        [None if "error" in each else each["documents"] for each in said["texts"]],
        # A Decimal, because 10^2147483647 has no place in a Fraction.
        [None if "error" in each else Decimal(f"{each['unscaled']}E{-each['scale']}") for each in said["quantities"]],
    )
