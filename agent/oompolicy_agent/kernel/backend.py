# SPDX-License-Identifier: Apache-2.0
"""The ways in which a node can enforce priorities."""

from __future__ import annotations

from enum import StrEnum


class Backend(StrEnum):
    """How a node enforces priorities, as the loader's report and OOMNode.status spell it.

    The loader never reports OOMScoreAdj, because the agent asks for scores on a node without the hook. The loader of
    another version may report a backend that is not listed here.
    """

    EVALUATE_TASK = "EvaluateTask"
    OOM_SCORE_ADJ = "OOMScoreAdj"
    OBSERVE_ONLY = "ObserveOnly"
