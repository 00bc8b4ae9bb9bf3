# SPDX-License-Identifier: Apache-2.0
"""Make hostile pods, their statuses and their annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.cluster.agent.hostile.case import MERGE, Case
from tests.cluster.agent.hostile.policies import CONTAINERS, LABELS
from tests.cluster.agent.hostile.values import QUANTITIES, TEXTS, junk, managed, written
from tests.cluster.objects import collection, location, running

if TYPE_CHECKING:
    from random import Random

MIRROR: Final = "kubernetes.io/config.mirror"
NAMESPACES: Final = ("hostile-a", "hostile-b")
PHASES: Final = ("Pending", "Running", "Running", "Running", "Unknown", "", "Zombie", "Succeeded", "Failed")
CONTAINER_ID: Final = "ab" * 32
"""The id of the container that the storm must not touch."""
FOREIGN: Final = f"containerd://{CONTAINER_ID}"
STATIC_HASH: Final = "d41d8cd98f00b204e9800998ecf8427e"
HUGE: Final = ("9" * 200_000, "9" * 1_048_576)


def asked(rng: Random, victim: str) -> dict[str, str]:
    """Return annotations that ask for a priority, or pretend to. `victim` is the uid of another pod."""
    made: dict[str, str] = {}
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        key = rng.choice(
            [
                "oompolicy.dev/priority",
                "oompolicy.dev/priority",
                f"oompolicy.dev/container.{rng.choice([*CONTAINERS, 'none', 'a' * 53])}",
                "oompolicy.dev/container.",
                f"oompolicy.dev/{rng.choice(['Priority', 'priority.', 'x' * 63, 'container', 'containers.app'])}",
                "OOMPOLICY.dev/priority",
                "notoompolicy.dev/priority",
                MIRROR,
                "kubernetes.io/config.source",
            ]
        )
        made[key] = rng.choice([*TEXTS, "0", "300", "500", "1000"])
        if key == MIRROR:
            made[key] = rng.choice([victim, victim.upper(), STATIC_HASH, "", "..", "x" * 300, rng.choice(TEXTS)])
        if key == "kubernetes.io/config.source":
            made[key] = rng.choice(["file", "http", "api"])
    if rng.random() < 0.02:
        made["oompolicy.dev/priority"] = rng.choice(HUGE)
    if rng.random() < 0.02:
        made |= {f"oompolicy.dev/a{each:x}": "" for each in range(3_000)}
    return made


def containers(rng: Random) -> dict[str, list[dict[str, Any]]]:
    """Return containers of both kinds, with odd names and amounts."""
    names = rng.sample(CONTAINERS, rng.randint(1, 3))
    made = [container(rng, name) for name in names]
    first = [container(rng, f"i-{each}") for each in range(rng.choice([0, 0, 1, 2]))]
    for each in first:
        if rng.random() < 0.5:
            each["restartPolicy"] = rng.choice(["Always", "Always", "Never", ""])
    if rng.random() < 0.03:
        made += [container(rng, f"many-{each}") for each in range(300)]
    return {"containers": made, "initContainers": first}


def container(rng: Random, name: str) -> dict[str, Any]:
    if rng.random() < 0.03:
        name = rng.choice([*TEXTS[:40], "app"])
    made: dict[str, Any] = {"name": name, "image": "registry.example/app:1"}
    if rng.random() < 0.5:
        amounts = {key: rng.choice(["1", "1Mi", rng.choice(QUANTITIES)]) for key in ("cpu", "memory")}
        made["resources"] = {rng.choice(["requests", "limits"]): amounts}
    return made


def pod(rng: Random, name: str, node: str, victim: str) -> Case:
    """Make one pod on the node, and what follows if the API server accepts it."""
    namespace = rng.choice(NAMESPACES)
    if rng.random() < 0.05:
        name = rng.choice([name + "a" * (253 - len(name)), "a" * 254, "UPPER", f"{name}.b", "-", f"{name}_", "\u540d"])
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(rng.sample(LABELS, rng.randint(0, 3))),
            "annotations": asked(rng, victim),
        },
        "spec": {"nodeName": node, **containers(rng)},
    }
    metadata, spec = made["metadata"], made["spec"]
    if rng.random() < 0.1:
        metadata["labels"][rng.choice(["oompolicy.dev/priority", *TEXTS[:30]])] = rng.choice(TEXTS)
    if rng.random() < 0.03:
        metadata["labels"] |= {f"example.com/l-{each}": "x" * 60 for each in range(3_000)}
    if rng.random() < 0.03:
        metadata["managedFields"] = managed(rng.choice([500, 3_000, 9_900]))
    if rng.random() < 0.15:
        spec["priorityClassName"] = rng.choice(["system-node-critical", "system-cluster-critical", "high", "none"])
    if rng.random() < 0.15:
        spec["terminationGracePeriodSeconds"] = 3_600
    if rng.random() < 0.1:
        metadata["finalizers"] = ["example.com/never"]
    if MIRROR in metadata["annotations"]:
        spec["automountServiceAccountToken"] = False
        if rng.random() < 0.5:
            owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": victim, "controller": True}
            metadata["ownerReferences"] = [owner]
    if rng.random() < 0.06:
        where = rng.choice([spec, metadata])
        where[rng.choice(["hostname", "overhead", "labels", "resources", "uid", "extra"])] = junk(rng)
    follow = tuple(_after(rng, name, namespace, [each["name"] for each in spec["containers"]]))
    return Case("Pod", name, "POST", collection("Pod", namespace), written(made), ("metadata", "spec"), then=follow)


def _after(rng: Random, name: str, namespace: str, names: list[str]) -> list[Case]:
    path = location("Pod", name, namespace)
    made: list[Case] = []
    if rng.random() < 0.85:
        status = written({"status": _status(rng, names)})
        made.append(Case("Pod", name, "PATCH", f"{path}/status", status, ("status",), MERGE))
    if rng.random() < 0.1:
        ephemeral = {"spec": {"ephemeralContainers": [container(rng, "debug")]}}
        body = written(ephemeral)
        content_type = "application/strategic-merge-patch+json"
        made.append(Case("Pod", name, "PATCH", f"{path}/ephemeralcontainers", body, ("spec",), content_type))
    if rng.random() < 0.12:
        made.append(Case("Pod", name, "DELETE", path, b"", ("metadata",)))
    return made


def _status(rng: Random, names: list[str]) -> dict[str, Any]:
    ids = {name: f"{rng.getrandbits(256):064x}" for name in names if len(name) < 64}
    made: dict[str, Any] = {**running(ids), "phase": rng.choice(PHASES)}
    statuses = made["containerStatuses"]
    if statuses and rng.random() < 0.4:
        odd = rng.choice(statuses)
        odd |= {
            "containerID": rng.choice(["", "containerd://", "x", "cri-o://" + "g" * 64, "x://../../etc", FOREIGN]),
            "name": rng.choice([odd["name"], "else", "oompolicy.dev/priority"]),
            "state": rng.choice([{}, {"waiting": {"reason": "x"}}, {"running": {}}]),
            "lastState": rng.choice([{}, {"terminated": {"exitCode": 137, "containerID": f"x://{'cd' * 32}"}}]),
        }
    if rng.random() < 0.2:
        made[rng.choice(["qosClass", "containerStatuses", "initContainerStatuses", "conditions", "extra"])] = junk(rng)
    if rng.random() < 0.1:
        made.pop("containerStatuses", None)
    return made


def change(rng: Random, namespace: str, name: str, victim: str) -> Case:
    """Change labels and annotations of a stored pod, or delete it at once."""
    path = location("Pod", name, namespace)
    if rng.random() < 0.25:
        return Case("Pod", name, "DELETE", path, b"", ("metadata",), query={"gracePeriodSeconds": "0"})
    keys = ("oompolicy.dev/priority", "oompolicy.dev/container.app")
    metadata = {
        "labels": {key: rng.choice([value, None]) for key, value in LABELS[:3]},
        "annotations": {**dict.fromkeys(keys), **asked(rng, victim)},
    }
    # The API server lets nobody add, change or remove this annotation.
    metadata["annotations"].pop(MIRROR, None)
    return Case("Pod", name, "PATCH", path, written({"metadata": metadata}), ("metadata",), MERGE)
