# SPDX-License-Identifier: Apache-2.0
"""krew 0.4.3, built once."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.cluster.gobuild import NO_DWARF, GoPrograms

KREW: Final = GoPrograms(
    "krew",
    Path(__file__).parent,
    ("-trimpath", NO_DWARF, "sigs.k8s.io/krew/cmd/krew"),
    "one minute of processor time",
)
