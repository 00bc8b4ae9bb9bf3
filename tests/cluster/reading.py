# SPDX-License-Identifier: Apache-2.0
"""Let Kubernetes' own code read texts and quantities, with the program of `reader/`, which is built once."""

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
    """The values that Kubernetes reads, in the order of the questions, and None for each that it refuses."""

    texts: list[Documents | None]
    quantities: list[Decimal | None]


def read_by_kubernetes(texts: Sequence[str] = (), quantities: Sequence[str] = ()) -> Readings:
    """Read texts as kubectl reads a file, and quantities (as JSON) as the API server does, all in one run."""
    question = json.dumps({"texts": texts, "quantities": quantities})
    argv = [str(PROGRAM.ensure() / "reader")]
    answer = json.loads(subprocess.run(argv, input=question, capture_output=True, text=True, check=True).stdout)
    return Readings(
        [None if "error" in each else each["documents"] for each in answer["texts"]],
        # This is a Decimal, because 10^2147483647 does not fit into a Fraction.
        [None if "error" in each else Decimal(f"{each['unscaled']}E{-each['scale']}") for each in answer["quantities"]],
    )
