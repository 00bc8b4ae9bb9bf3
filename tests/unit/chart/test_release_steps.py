# SPDX-License-Identifier: Apache-2.0
"""The steps of a release report unfinished work from the objects of the API server."""

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


def oomnode(name: str, reason: str = "Any", **conditions: str) -> dict[str, Any]:
    """Return an OOMNode whose conditions have these statuses, the reason, and the message `because`."""
    found = [
        {"type": kind, "status": status, "reason": reason, "message": "because"} for kind, status in conditions.items()
    ]
    return {"metadata": {"name": name}, "status": {"conditions": found}}


@pytest.mark.parametrize(
    ("status", "left"),
    [
        ({}, "no controller has processed DaemonSet agents yet"),
        ({"observedGeneration": 1, "desiredNumberScheduled": 0}, "no controller has processed DaemonSet agents yet"),
        (
            {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3, "updatedNumberScheduled": 1},
            "DaemonSet agents is ready on 1 of 3 nodes",
        ),
        (
            {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 2, "updatedNumberScheduled": 3},
            "DaemonSet agents is ready on 2 of 3 nodes",
        ),
        ({"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3, "updatedNumberScheduled": 3}, None),
        ({"observedGeneration": 2, "desiredNumberScheduled": 0}, None),
    ],
)
def test_a_rollout_is_done_when_each_node_has_a_ready_pod_of_its_generation(
    status: dict[str, int], left: str | None
) -> None:
    """Numbers of an earlier generation and ready pods of an earlier template do not count."""
    assert left == rollout.progress(daemonset(**status))


def test_only_the_daemonsets_own_pods_count() -> None:
    """A pod counts if the DaemonSet owns it. Its labels do not matter, because other pods can have the same."""
    other = pod("b", owner={"kind": "ReplicaSet", "name": "agents"})

    assert ("a",) == tuple(map(rollout.node_of, rollout.pods_of(["agents"], [pod(), other])))


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
        ({"phase": "Running"}, "the pod is Running"),
    ],
)
def test_the_best_known_reason_is_reported(status: dict[str, Any], reason: str) -> None:
    """The last message of a failed container is preferred to the kubelet's back-off."""
    assert [f"a: {reason}"] == list(rollout.unready([pod(**status)]))


def test_a_ready_pod_has_no_reason() -> None:
    """A pod whose condition Ready is True is not reported."""
    assert [] == list(rollout.unready([pod(conditions=[{"type": "Ready", "status": "True"}])]))


def test_a_pod_without_a_node_is_reported_by_its_own_name() -> None:
    """A pod that is not scheduled has no node that could be named."""
    assert ["pod agents-x: the pod is Pending"] == list(rollout.unready([pod(None)]))


@pytest.mark.parametrize(
    ("oomnodes", "enough", "sentences"),
    [
        ([oomnode("a", Ready="True", Enforcing="True")], False, []),
        ([], False, ["a: there is no OOMNode, which the operator creates: read the operator's log"]),
        ([{"metadata": {"name": "a"}}], False, ["a: the agent has not reported anything yet: read the agent's log"]),
        ([oomnode("a", Ready="False", Enforcing="True")], True, ["a: not ready: because"]),
        ([oomnode("a", Ready="True", Enforcing="False")], False, ["a: does not enforce: because"]),
        ([oomnode("a", Ready="True", Enforcing="False")], True, []),
        ([oomnode("a", reason="Audit", Ready="True", Enforcing="False")], False, []),
        ([oomnode("a", reason="Off", Ready="True", Enforcing="False")], False, []),
        ([oomnode("a", reason="Audit", Ready="False", Enforcing="False")], False, ["a: not ready: because"]),
    ],
)
def test_a_node_that_does_not_enforce_is_reported(
    oomnodes: list[dict[str, Any]], enough: bool, sentences: list[str]
) -> None:
    """The sentence has the reason of the node's agent, or the log to read."""
    assert sentences == list(enforcement.shortcomings(["a"], oomnodes, observing_is_enough=enough))


def test_one_step_may_be_about_several_daemonsets() -> None:
    """The flag is repeated, as before an uninstall: agents and adjusters stop together."""
    chosen = settings.parse(["stop", "--namespace=here", "--daemonset=agents", "--daemonset=adjusters"])

    assert ("agents", "adjusters") == chosen.daemonsets


def test_many_lines_are_cut_and_counted() -> None:
    """Twenty lines are shown, because thousands of nodes can have the same cause."""
    lines = main.shown(tuple(map(str, range(25))))

    assert "19" == lines[-2]
    assert "and 5 more" == lines[-1]


def test_the_default_namespace_is_that_of_the_pod(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If $POD_NAMESPACE is not set, the flag is required."""
    monkeypatch.setenv("POD_NAMESPACE", "here")
    assert "here" == settings.parse(["await", "--daemonset=agents"]).namespace
    monkeypatch.delenv("POD_NAMESPACE")
    with pytest.raises(SystemExit):
        settings.parse(["await", "--daemonset=agents"])
    assert "--namespace or $POD_NAMESPACE is required" in capsys.readouterr().err
