# SPDX-License-Identifier: Apache-2.0
"""The HTTP server of the tests that define a fixture `cluster`, which answers the requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.unit.kube.server import Answer, Asked, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cluster(Protocol):
    def answer(self, asked: Asked) -> Answer: ...


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Server]:
    with serving(by=cluster.answer) as made:
        yield made
