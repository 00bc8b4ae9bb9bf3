# SPDX-License-Identifier: Apache-2.0
"""Hostile objects end neither the operator nor the agent, and change no priority of others."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from tests.cluster.agent.hostile.checks import (
    bad_lines,
    differences,
    living,
    peak_mib,
    unreported_policies,
    unreported_refusals,
)
from tests.cluster.agent.hostile.conftest import CONTROL, OBJECTS, POLICY, SEED, VALUE
from tests.cluster.agent.hostile.pods import NAMESPACES
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.agent.hostile.storm import Storm
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api
    from tests.cluster.operators import Operator

AGENT_MIB: Final = 80
OPERATOR_MIB: Final = 128
FLIPS: Final = 3
"""Changes of one object between hostile and normal, for each object of the storm."""


def test_a_storm_of_hostile_objects_changes_no_priority_of_others(
    agent: RunningAgent, start_operator: Callable[[str], Operator], api: Api, storm: Storm, control: str
) -> None:
    """Each object is refused with a readable message, or has its condition or Event. All else stays as it was."""
    print(f"OOMPOLICY_SEED={SEED} OOMPOLICY_HOSTILE_OBJECTS={OBJECTS}")
    ready, operators = agent.condition("Ready"), [started(start_operator, "operator-0")]
    for part in parts(OBJECTS):
        storm.blow(part)
        assert (None, None) == (operators[-1].process.poll(), agent.process and agent.process.poll())
        assert "True" == agent.condition("Ready")["status"]
        if part.stop in (OBJECTS // 2, OBJECTS):
            agent.cluster.expire_watches()
            if lost_the_lease(operators[-1]):
                operators.append(started(start_operator, f"operator-{len(operators)}"))
    flip(api, OBJECTS * FLIPS)
    print(dict(storm.counts), *storm.flaws, sep="\n")

    eventually(lambda: unreported_policies(api), lambda names: not names, deadline=120)
    eventually(lambda: differences(agent, api), lambda found: not found, deadline=120)
    assert OBJECTS // 20 <= len(living(agent, api))
    eventually(lambda: unreported_refusals(agent, api), lambda found: not found, deadline=120)
    assert [VALUE] == agent.priorities(control)
    assert ready["lastTransitionTime"] == agent.condition("Ready")["lastTransitionTime"]
    api.patch("OOMPolicy", POLICY, {"spec": {"priority": {"value": 612}}})
    eventually(lambda: agent.priority(control), lambda found: found == 612, deadline=10)
    assert "" == "\n".join([line for log in (agent.log, *(each.log for each in operators)) for line in bad_lines(log)])
    assert (200, 200) == (agent.page("/livez")[0], operators[-1].probe("/livez")[0])
    peaks = peak_mib(agent.process.pid if agent.process else 0), peak_mib(operators[-1].process.pid)
    print(f"peak of the agent {peaks[0]} MiB, of the operator {peaks[1]} MiB")
    assert [] == storm.flaws
    assert peaks[0] < AGENT_MIB
    assert peaks[1] < OPERATOR_MIB


def started(start_operator: Callable[[str], Operator], name: str) -> Operator:
    """Start an operator, and wait until it leads."""
    operator = start_operator(name)
    operator.until_leading()
    return operator


def lost_the_lease(operator: Operator) -> bool:
    """Return True if the operator ended because the API server was away for too long, and not with a fault.

    Its Deployment then starts it again. On a busy machine the API server takes that long to restart.
    """
    eventually(
        lambda: operator.probe("/readyz")[0] == 200 or operator.process.poll() is not None,
        bool,
        deadline=60,
    )
    ended = operator.process.poll() is not None
    assert not ended or "ended: the Lease could not be renewed" in operator.log.read_text().splitlines()[-1]
    return ended


def parts(objects: int) -> list[range]:
    """Return the numbers of all objects in four parts."""
    edges = [objects * quarter // 4 for quarter in range(5)]
    return [range(*pair) for pair in itertools.pairwise(edges)]


def flip(api: Api, times: int) -> None:
    """Change a policy, a pod, a namespace and the settings between hostile and normal, so many times in all."""
    api.create(flipping("flip", "0"))
    for number in range(times // 4):
        odd = number % 2
        api.patch("OOMPolicy", "flip", {"spec": flipping("flip", str(odd))["spec"]})
        labels = {f"example.com/l-{each}": "x" if odd else None for each in range(50)}
        api.patch("Namespace", NAMESPACES[0], {"metadata": {"labels": labels}})
        asked = {"oompolicy.dev/priority": "\u202e9e9" if odd else None, "oompolicy.dev/container.none": None}
        api.patch("Pod", CONTROL, {"metadata": {"annotations": asked}}, namespace=CONTROL)
        api.patch("OOMSettings", "cluster", {"spec": {"maxKillsPerMinute": 9_999 * odd}})
    api.patch("Pod", CONTROL, {"metadata": {"annotations": {"oompolicy.dev/priority": None}}}, namespace=CONTROL)


def flipping(name: str, odd: str) -> dict[str, Any]:
    expressions = [{"key": "app", "operator": "Exists"}, {"key": "app", "operator": "NotIn", "values": ["", odd]}]
    spec = {
        "precedence": 999_999,
        "match": {"podSelector": {"matchExpressions": expressions * (1 + 15 * int(odd))}},
        "priority": {"value": 1000 * int(odd)},
    }
    metadata = {"name": name}
    return {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "metadata": metadata, "spec": spec}
