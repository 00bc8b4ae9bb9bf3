# SPDX-License-Identifier: Apache-2.0
"""Programs for tests of files that other products read, built once: actionlint, and the Lua of Argo CD."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.cluster.gobuild import GoPrograms

TOOLS: Final = GoPrograms(
    "tools",
    Path(__file__).parent,
    ("-trimpath", "github.com/rhysd/actionlint/cmd/actionlint", "github.com/yuin/gopher-lua/cmd/glua"),
    "one minute on two cores",
)
