# SPDX-License-Identifier: Apache-2.0
"""What is left to wait for, told from what the API server has."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy.release import enforcement, main, rollout, settings

OWNER = {"kind": "DaemonSet", "name": "agents"}


def daemonset(**status: int) -> dict[str, Any]:
    return {"metadata": {"name": "agents", "generation": 2}, "status": status}


def pod(node: str | None = "a", *, owner: dict[str, str] = OWNER, **status: Any) -> dict[str, Any]:  # noqa: ANN401
    metadata = {"name": "agents-x", "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": status}


def container(name: str, state: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": before or {}}


def oomnode(name: str, **conditions: str) -> dict[str, Any]:
    """Each condition's status; its message is `because`."""
    told = [{"type": kind, "status": status, "message": "because"} for kind, status in conditions.items()]
    return {"metadata": {"name": name}, "status": {"conditions": told}}


@pytest.mark.parametrize(
    ("status", "left"),
    [
        ({}, "no controller has seen DaemonSet agents yet"),
        ({"observedGeneration": 1, "desiredNumberScheduled": 0}, "no controller has seen DaemonSet agents yet"),
        (
            {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3, "updatedNumberScheduled": 1},
            "DaemonSet agents is ready on 1 of 3 nodes",
        ),
        (
            {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 2, "updatedNumberScheduled": 3},
            "DaemonSet agents is ready on 2 of 3 nodes",
        ),
        ({"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3, "updatedNumberScheduled": 3}, ""),
        ({"observedGeneration": 2, "desiredNumberScheduled": 0}, ""),
    ],
)
def test_a_rollout_is_over_when_each_node_has_a_ready_pod_of_today(status: dict[str, int], left: str) -> None:
    """Numbers of an earlier generation, or of old pods, do not count."""
    assert left == rollout.progress(daemonset(**status))


def test_only_the_daemonsets_own_pods_count() -> None:
    """Labels may be anybody's."""
    other = pod("b", owner={"kind": "ReplicaSet", "name": "agents"})

    assert ("a",) == tuple(map(rollout.node_of, rollout.pods_of("agents", [pod(), other])))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (
            {
                "initContainerStatuses": [
                    container(
                        "detach",
                        {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                        {"terminated": {"exitCode": 1, "message": "it stays loaded\n"}},
                    )
                ]
            },
            "container detach ended with status 1: it stays loaded",
        ),
        (
            {"containerStatuses": [container("agent", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}})]},
            "container agent ended with status 137: OOMKilled",
        ),
        (
            {"containerStatuses": [container("agent", {"waiting": {"message": "image not found"}})]},
            "container agent: image not found",
        ),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "too many pods"}]}, "too many pods"),
        ({"phase": "Running"}, "its pod is Running"),
    ],
)
def test_the_reason_is_the_most_telling_there_is(status: dict[str, Any], reason: str) -> None:
    """A container's last words rather than kubelet's back-off."""
    assert [f"a: {reason}"] == list(rollout.unready([pod(**status)]))


def test_a_ready_pod_has_no_reason() -> None:
    """Its condition says so."""
    assert [] == list(rollout.unready([pod(conditions=[{"type": "Ready", "status": "True"}])]))


def test_a_pod_that_is_nowhere_is_named_itself() -> None:
    """There is no node to name."""
    assert ["pod agents-x: its pod is Pending"] == list(rollout.unready([pod(None)]))


@pytest.mark.parametrize(
    ("oomnodes", "enough", "sentences"),
    [
        ([oomnode("a", Ready="True", Enforcing="True")], False, []),
        ([], False, ["a: there is no OOMNode, which the operator creates: look at its log"]),
        ([{"metadata": {"name": "a"}}], False, ["a: the agent has not said anything yet: look at its log"]),
        ([oomnode("a", Ready="False", Enforcing="True")], True, ["a: not ready: because"]),
        ([oomnode("a", Ready="True", Enforcing="False")], False, ["a: does not enforce: because"]),
        ([oomnode("a", Ready="True", Enforcing="False")], True, []),
    ],
)
def test_a_node_that_is_not_as_it_should_be_is_named(
    oomnodes: list[dict[str, Any]], enough: bool, sentences: list[str]
) -> None:
    """With what its agent says, or where to look."""
    assert sentences == list(enforcement.shortcomings(["a"], oomnodes, observing_is_enough=enough))


def test_many_lines_are_cut_and_counted() -> None:
    """5,000 nodes without headers are one cause."""
    lines = main.shown(tuple(map(str, range(25))))

    assert ("19", "and 5 more") == lines[-2:]


def test_the_namespace_is_the_pods(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Or has to be named."""
    monkeypatch.setenv("POD_NAMESPACE", "here")
    assert "here" == settings.parse(["await", "--daemonset=agents"]).namespace
    monkeypatch.delenv("POD_NAMESPACE")
    with pytest.raises(SystemExit):
        settings.parse(["await", "--daemonset=agents"])
    assert "--namespace or $POD_NAMESPACE is required" in capsys.readouterr().err
