# SPDX-License-Identifier: Apache-2.0
"""Make hostile OOMSettings, and hostile OOMNodes of nodes that do not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.cluster.agent.hostile.case import MERGE, Case
from tests.cluster.agent.hostile.policies import STATUSES, selector
from tests.cluster.agent.hostile.values import NUMBERS, QUANTITIES, junk, number, places, twice, written
from tests.cluster.objects import collection, location

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

MODES: Final = ("Enforce", "Audit", "Off")
OTHERS: Final = ("other", "Cluster", "cluster.", "clu\u0455ter", "", "default")


def spec(rng: Random) -> dict[str, Any]:
    """Return a valid spec that leaves the node in a mode with a map."""
    defaults = dict(
        zip(("guaranteed", "burstable", "bestEffort"), sorted(rng.sample(range(1000), 3))[::-1], strict=True)
    )
    return {
        "mode": "Enforce",
        "nodeModes": [{"nodeSelector": selector(rng), "mode": "Enforce"} for _ in range(rng.choice([0, 1, 3]))],
        "tieBreak": rng.choice(["LargestMemory", "MostOverRequest"]),
        "minimumVictimMemory": rng.choice(["0", "64Mi", 4096]),
        "hostPriority": rng.choice([1000, 1000, 900]),
        "defaults": defaults,
    }


def _replace(rng: Random, made: dict[str, Any]) -> str:
    holder, key, path = rng.choice(list(places(made["spec"], "spec")))
    holder[key] = junk(rng)
    return path


def _quantity(rng: Random, made: dict[str, Any]) -> str:
    made["spec"]["minimumVictimMemory"] = rng.choice([*QUANTITIES, number(rng.choice(NUMBERS))])
    return "spec.minimumVictimMemory"


def _number(rng: Random, made: dict[str, Any]) -> str:
    field = rng.choice(["hostPriority", "maxKillsPerMinute"])
    made["spec"][field] = number(rng.choice(NUMBERS))
    return "spec"


def _defaults(rng: Random, made: dict[str, Any]) -> str:
    field = rng.choice(["nodeCritical", "clusterCritical", "guaranteed", "burstable", "bestEffort"])
    made["spec"]["defaults"] = rng.choice([{field: number(rng.choice(NUMBERS))}, junk(rng)])
    return "spec.defaults"


def _modes(rng: Random, made: dict[str, Any]) -> str:
    entry = {"nodeSelector": selector(rng), "mode": rng.choice(["Enforce", "enforce", "", None, "Kill"])}
    made["spec"]["nodeModes"] = [entry] * rng.choice([1, 2, 65])
    return "spec.nodeModes"


def _twice(_rng: Random, made: dict[str, Any]) -> str:
    made["spec"][twice("mode")] = "Off"
    return "spec.mode"


def _name(rng: Random, made: dict[str, Any]) -> str:
    made["metadata"]["name"] = rng.choice(OTHERS)
    return "metadata.name"


MUTATIONS: Final[tuple[Callable[[Random, dict[str, Any]], str], ...]] = (
    *(_replace, _replace, _quantity, _number, _defaults, _modes, _twice, _name),
)


def settings(rng: Random) -> Case:
    """Make one request about OOMSettings: a second one, a change of the only one, or of its status."""
    if rng.random() < 0.15:
        body = {"status": rng.choice(STATUSES)(rng)}
        path = f"{location('OOMSettings', 'cluster')}/status"
        return Case("OOMSettings", "cluster", "PATCH", path, written(body), ("status",), MERGE)
    whole: dict[str, Any] = {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMSettings",
        "metadata": {"name": "cluster"},
        "spec": spec(rng),
    }
    # A selector may have too many requirements, because an OOMPolicy may have more than OOMSettings.
    fields = (rng.choice(MUTATIONS)(rng, whole), "spec.nodeModes")
    # `spec.mode` and `spec.suspend` of an accepted object stay as they are, so that the node keeps its map.
    if whole["metadata"]["name"] != "cluster":
        return Case("OOMSettings", "other", "POST", collection("OOMSettings"), written(whole), fields)
    return Case("OOMSettings", "cluster", "PATCH", location("OOMSettings", "cluster"), written(whole), fields, MERGE)


def oomnode(rng: Random, name: str, others: list[str]) -> Case:
    """Make an OOMNode without a node, or write a status that its agent never wrote."""
    made: dict[str, Any] = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": name}}
    if not others or rng.random() < 0.4:
        made["spec"] = rng.choice([{}, {"mode": rng.choice([*MODES, "off", None, 5])}, junk(rng)])
        return Case("OOMNode", name, "POST", collection("OOMNode"), written(made), ("spec.mode", "spec"))
    name = rng.choice(others)
    status: dict[str, Any] = {
        "policyHash": rng.choice(["", "x" * 64, junk(rng)]),
        "mode": rng.choice([*MODES, junk(rng)]),
        "lastHeartbeatTime": rng.choice(
            ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", junk(rng)]
        ),
        "conditions": rng.choice([None, [], junk(rng)]),
        "counts": rng.choice([{"pods": number(rng.choice(NUMBERS))}, None, junk(rng)]),
    }
    kept = {key: status[key] for key in rng.sample(sorted(status), rng.randint(1, 5))}
    path = f"{location('OOMNode', name)}/status"
    fields = tuple(f"status.{key}" for key in kept)
    return Case("OOMNode", name, "PATCH", path, written({"status": kept}), fields, MERGE)
