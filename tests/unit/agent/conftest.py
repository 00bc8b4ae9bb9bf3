# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the agent's tests: `node` is a Node with an agent that has not started, `api` an Api without Events."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.mapping import pinnedmap as kernel_module
from oompolicy_agent.mapping import treewatch
from oompolicy_agent.mapping.cgroups import scan
from tests.unit.agent.fakeevents import Api
from tests.unit.agent.fakenode import FakeOpenMaps, FakePriorityMap, Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(treewatch, "scan", partial(scan, check=lambda _: True))
    monkeypatch.setattr(kernel_module, "OpenMaps", FakeOpenMaps)
    monkeypatch.setattr(kernel_module, "PriorityMap", FakePriorityMap)
    made = Node(tmp_path)
    FakeOpenMaps.state = made.state
    yield made
    made.agent.stop()
    made.loop.close()


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)
