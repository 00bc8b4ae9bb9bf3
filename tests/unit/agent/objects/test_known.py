# SPDX-License-Identifier: Apache-2.0
"""The last valid manifests are resolved for this node, and trimmed for the checkpoint."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.manifests import manifests_from_objects
from oompolicy.model import Defaults
from oompolicy.resolve import resolve
from oompolicy_agent.objects import checkpoint
from oompolicy_agent.objects.known import decide, fingerprint, restored
from oompolicy_agent.objects.manifestfolder import ManifestFolder
from oompolicy_agent.objects.trim import MANY_CONTAINERS, trim
from tests.unit.agent.fakes import APP, BOOT, PAUSE, raw_pod, raw_policy
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a", "labels": {"tier": "prod"}}}
FULL_POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-0",
        "namespace": "team-a",
        "uid": "u",
        "labels": {"app": "web"},
        "annotations": {
            "oompolicy.dev/priority": "650",
            "kubernetes.io/config.mirror": "d41d8cd98f00b204e9800998ecf8427e",
            "vault.example/token": "hvs.geheim",
        },
        "managedFields": [{"manager": "kubectl"}],
        "creationTimestamp": "2026-11-27T20:00:00Z",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "n", "controller": True}],
    },
    "spec": {
        "nodeName": "node-1",
        "priorityClassName": "critical",
        "overhead": {"memory": "10Mi"},
        "resources": {"requests": {"memory": "1Gi"}},
        "volumes": [{"name": "secret"}],
        "initContainers": [{"name": "init"}, {"name": "side", "restartPolicy": "Always", "env": []}],
        "containers": [
            {
                "name": "app",
                "env": [{"name": "PASSWORD", "value": "geheim"}],
                "resources": {"limits": {"memory": "1Gi"}},
            }
        ],
        "ephemeralContainers": [{"name": "debug"}],
    },
    "status": {
        "phase": "Running",
        "qosClass": "Burstable",
        "conditions": [{"type": "Ready"}],
        "initContainerStatuses": [{"name": "init", "containerID": "containerd://1"}],
        "containerStatuses": [
            {
                "name": "app",
                "containerID": "containerd://2",
                "state": {"running": {"startedAt": "2026-11-27T20:00:00Z"}},
                "lastState": {"terminated": {"containerID": "containerd://3"}},
            }
        ],
        "ephemeralContainerStatuses": [{"name": "debug"}],
    },
}


@pytest.mark.parametrize(
    "raw",
    [
        *(FULL_POD, raw_pod(), raw_policy(), NAMESPACE, {**NAMESPACE, "spec": {"finalizers": []}}),
        raw_settings({"mode": "Audit", "suspend": True}),
    ],
)
def test_a_trimmed_object_gives_the_same_record(raw: dict[str, Any]) -> None:
    """Only annotations of other programs are missing."""
    raw = deepcopy(raw)
    raw["metadata"].get("annotations", {}).pop("vault.example/token", None)
    whole, short = (manifests_from_objects([(None, each)]) for each in (raw, trim(raw)))

    assert not whole.problems
    assert replace(whole, objects=()) == replace(short, objects=())


def test_only_some_of_the_refused_annotations_are_kept() -> None:
    """A pod may have 13,000 annotations, or one of 256 KiB. All are counted, and all valid ones are kept."""
    odd = {f"oompolicy.dev/a{number:x}": "x" * 1_000 for number in range(13_000)}
    long = {"oompolicy.dev/priority": "9" * 200_000, "kubernetes.io/config.mirror": "m" * 200_000}
    raw = raw_pod()
    raw["metadata"]["annotations"] = {**odd, **long, "oompolicy.dev/container.app": "650"}
    short = trim(raw)
    whole, cut = (resolve((), (), manifests_from_objects([(None, each)]).pods)[0] for each in (raw, short))

    assert len(json.dumps(short)) < 5_000
    assert "650" == short["metadata"]["annotations"]["oompolicy.dev/container.app"]
    assert 13_002 == len(cut.refusals) + cut.more_refusals
    assert [each.annotation for each in whole.refusals] == [each.annotation for each in cut.refusals]
    assert [each.message for each in whole.refusals] == [each.message for each in cut.refusals]


@pytest.mark.parametrize("key", ["initContainers", "containers", "ephemeralContainers"])
def test_of_thousands_of_containers_those_that_ran_are_kept(key: str) -> None:
    """The others have neither a process nor a cgroup. Usual pods keep all their containers."""
    raw = raw_pod()
    raw["spec"][key] = [{"name": f"c{number}", "image": "i"} for number in range(20_000)]
    raw["status"][f"{key[:-1]}Statuses"] = [
        {"name": "c19999", "containerID": f"containerd://{APP}"},
        {"name": "c19998", "lastState": {"terminated": {"containerID": f"containerd://{PAUSE}"}}},
        {"name": "c19997", "state": {"waiting": {"reason": "PodInitializing"}}},
    ]
    short = trim(raw)
    kept = [each["name"] for each in short["spec"][key]]

    assert MANY_CONTAINERS + 2 == len(kept)
    assert {"c0", "c19998", "c19999"} < {*kept}
    del raw["status"]["qosClass"]
    assert 20_000 == len(trim(raw)["spec"][key])


def test_only_some_of_thousands_of_annotated_containers_are_kept() -> None:
    """No refusal says that the pod does not have a container that was left out."""
    raw = raw_pod()
    names = [f"c{number}" for number in range(5_000)]
    raw["spec"]["containers"] = [{"name": name} for name in names]
    raw["metadata"]["annotations"] = {f"oompolicy.dev/container.{name}": "400" for name in reversed(names)}
    (assignment,) = resolve((), (), manifests_from_objects([(None, trim(raw))]).pods)

    assert len(json.dumps(trim(raw))) < 20_000
    assert MANY_CONTAINERS == len(assignment.refusals) + assignment.more_refusals
    assert not any("has no container" in refusal.message for refusal in assignment.refusals)


def test_unknown_resources_are_left_out() -> None:
    """Only CPU, memory and huge pages make a QoS class, and a pod may name thousands of extended resources."""
    raw = raw_pod()
    made_up = {f"example.com/r{number}": "1" for number in range(20_000)}
    counted = {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi"}
    raw["spec"]["containers"][0]["resources"] = {"requests": {**made_up, **counted}, "claims": [{"name": "gpu"}]}
    raw["spec"]["overhead"] = {**made_up, "memory": "1Mi"}
    short = trim(raw)

    assert {"requests": counted} == short["spec"]["containers"][0]["resources"]
    assert {"memory": "1Mi"} == short["spec"]["overhead"]


def test_secrets_stay_out_of_the_checkpoint() -> None:
    """The checkpoint has neither a pod's environment nor annotations of other programs."""
    text = json.dumps(trim(FULL_POD))

    assert "geheim" not in text
    assert "managedFields" not in text
    assert "vault" not in text


def test_only_pods_of_this_node_count() -> None:
    """This holds for the map and for the checkpoint."""
    other = raw_pod("other", uid="22222222-2222-2222-2222-222222222222", node="node-2")
    manifests = manifests_from_objects([(None, each) for each in (raw_policy(), NAMESPACE, raw_pod(), other)])
    known = decide(manifests, "node-1", Defaults())

    assert ["web-0"] == [pod.name for pod in known.pods]
    assert [(300, "web")] == [(each.priority, each.policy) for each in known.assignments]
    assert ["OOMPolicy", "Namespace", "Pod"] == [each["kind"] for each in json.loads(known.objects_json)]


def test_a_checkpoint_gives_the_same_state(tmp_path: Path) -> None:
    """The state is saved and loaded again."""
    known = decide(manifests_from_objects([(None, raw_policy()), (None, raw_pod())]), "node-1", Defaults())
    checkpoint.save(tmp_path / "c.json", BOOT, known.objects_json, "[]")
    saved = checkpoint.load(tmp_path / "c.json")

    assert saved is not None
    assert known == restored(saved, "node-1")


def test_a_folders_fingerprint_changes_with_its_files(tmp_path: Path) -> None:
    """Files are made, changed and removed, and links are followed."""
    seen = [fingerprint(tmp_path)]
    file, link = tmp_path / "a.yaml", tmp_path / "b.yaml"
    file.write_text("a")
    seen.append(fingerprint(tmp_path))
    file.write_text("ab")
    seen.append(fingerprint(tmp_path))
    link.symlink_to("nowhere")
    seen.append(fingerprint(tmp_path))
    file.unlink()
    seen.append(fingerprint(tmp_path))

    assert len(set(seen)) == len(seen)
    assert () == fingerprint(tmp_path / "absent")


def test_a_missing_folder_is_a_problem_and_no_empty_state(tmp_path: Path) -> None:
    """Otherwise all priorities would be lost with an unmounted volume."""
    assert ManifestFolder(tmp_path / "absent").load().problems


@pytest.mark.parametrize("odd", ["x", 5, [], {"terminated": "x"}, {"terminated": {"containerID": None}}])
def test_an_unreadable_last_state_is_left_out(odd: object) -> None:
    """The pod needs nothing of it."""
    raw = deepcopy(FULL_POD)
    raw["status"]["containerStatuses"][0]["lastState"] = odd
    known = decide(manifests_from_objects([(None, raw)]), "node-1", Defaults())

    assert ("2",) == known.pods[0].containers[-2].container_ids
