# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures from the recorded answers. Pure except for the files."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from rich.text import Text

from demo.pictures.replay import Replay
from demo.pictures.terminal import draw
from oompolicy.cli.cluster import Cluster
from oompolicy.cli.explain import described, explained
from oompolicy.cli.orderwatch import screen
from oompolicy.order.facts import parse
from oompolicy.order.rank import NODE

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection

ORDER: Final = Path(__file__).with_name("order.json")
EXPLAIN: Final = Path(__file__).with_name("explain.json")
NAMESPACE: Final = "shop"
POD: Final = "web-0"
_HEIGHT: Final = 24
"""The lines of the terminal."""


def pictures() -> dict[str, str]:
    """Return the SVG documents by the name of the picture."""
    return {"order": order(), "explain": explain()}


def order() -> str:
    """Draw `order --watch`."""
    facts = parse(json.loads(ORDER.read_text()))
    said = f"The containers of {facts.node} in the order in which they die, with a bar for the memory of each."
    return draw("order", f"oompolicy order {facts.node} --watch", said, screen(facts, NODE, _HEIGHT, ""), 110)


def explanation(*, colour: bool) -> str:
    """Return the output of `explain` from the recorded answers."""
    recorded = json.loads(EXPLAIN.read_text())
    cluster, facts = Cluster(cast("Connection", Replay(recorded["answers"])), NAMESPACE), parse(recorded["facts"])
    found = explained(cluster, NAMESPACE, POD, lambda _: facts)
    return described(found, datetime.fromisoformat(recorded["time"]), wide=False, colour=colour)


def explain() -> str:
    """Draw `explain`."""
    shown = Text.from_ansi(explanation(colour=True).rstrip())
    said = (
        f"The priority of pod {NAMESPACE}/{POD}, the policies that match or nearly do, its node and its last victims."
    )
    return draw(
        "explain", f"oompolicy explain {POD} -n {NAMESPACE}", said, shown, max(map(len, shown.plain.splitlines()))
    )
