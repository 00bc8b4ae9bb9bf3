# SPDX-License-Identifier: Apache-2.0
"""The checkpoint's objects hold until the API server has sent everything. Then its last state holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.labels import LabelFilter
from oompolicy.model import Defaults
from oompolicy_agent.api.collected import keep_as
from oompolicy_agent.api.outage import FailingWatch, OutageNotice
from oompolicy_agent.api.source import ApiSource, follow
from oompolicy_agent.objects.checkpoint import Checkpoint
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason
from tests.unit.agent.fakes import APP, BOOT, UID, raw_pod, raw_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oompolicy.oomsettings import Mode


KINDS = {
    "policies": "OOMPolicy",
    "namespaces": "Namespace",
    "pods": "Pod",
    "settings": "OOMSettings",
    "oomnodes": "OOMNode",
}


def raw_settings(mode: str = "Audit", **spec: object) -> dict[str, Any]:
    return {"metadata": {"name": "cluster", "uid": "s-1", "generation": 1}, "spec": {"mode": mode, **spec}}


def raw_oomnode(**spec: object) -> dict[str, Any]:
    return {"metadata": {"name": "node-1", "uid": "o-1"}, "spec": spec, "status": {"mode": "Enforce"}}


class Cluster:
    """A source that gets its objects from the test."""

    def __init__(self) -> None:
        self.problems = Problems()
        settings = Settings(in_cluster=True, node="node-1")
        self.source = ApiSource(None, settings, self.problems)  # type: ignore[arg-type]

    def send(self, what: str, *raws: dict[str, Any]) -> None:
        kind = KINDS[what]
        keep = keep_as("oompolicy.dev/v1alpha1" if kind.startswith("OOM") else "v1", kind, LabelFilter())
        objects = {raw["metadata"].get("uid", raw["metadata"]["name"]): keep(raw) for raw in raws}
        self.source.followed[what].objects.replaced(objects)

    def send_all(self) -> None:
        self.send("policies", raw_policy(value=300))
        self.send("namespaces", {"metadata": {"name": "team-a"}})
        self.send("pods", raw_pod())

    def send_settings(self, *settings: dict[str, Any], oomnode: dict[str, Any] | None = None) -> Mode | None:
        """Send OOMSettings and the OOMNode, and return the mode of the node."""
        self.send("settings", *settings)
        self.send("oomnodes", *([oomnode] if oomnode else []))
        self.source.reload()
        return self.source.wanted.mode if self.source.wanted else None

    @property
    def priorities(self) -> list[int]:
        assert self.source.known
        return [each.priority for each in self.source.known.assignments]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.source.close()


def test_no_object_counts_before_all_lists_are_complete(cluster: Cluster) -> None:
    """Pods without their policies would have other priorities for a moment."""
    cluster.send("policies", raw_policy(value=300))
    cluster.send("pods", raw_pod())

    assert not cluster.source.reload()
    assert cluster.source.known is None
    cluster.source.poll()
    (sentence,) = cluster.problems.current[Reason.NOT_SYNCED]
    assert (
        "waiting for the first complete list of namespaces from the API server, there is no usable checkpoint"
        == sentence
    )
    cluster.send("namespaces")
    assert cluster.source.reload()
    assert [300] == cluster.priorities
    assert [Reason.NOT_SYNCED] == list(cluster.problems.current), "nobody has applied the priorities"


def test_the_checkpoint_holds_until_the_lists_are_complete(cluster: Cluster) -> None:
    """Its pods and policies may be gone, and new ones are missing, but that is better than no entries."""
    cluster.source.restore(Checkpoint(BOOT, (raw_policy(value=100), raw_pod())))
    cluster.send("policies", raw_policy(value=300))
    cluster.source.reload()
    cluster.source.poll()

    assert [100] == cluster.priorities
    assert "priorities from the checkpoint stay in force" in cluster.problems.current[Reason.NOT_SYNCED][0]
    cluster.send_all()
    cluster.source.reload()
    assert [300] == cluster.priorities


def test_a_change_is_noticed_and_applied(cluster: Cluster) -> None:
    """The source has the time of the change, from which the lag is measured."""
    cluster.send_all()
    assert cluster.source.changed()
    cluster.source.reload()
    assert (False, None) == (cluster.source.changed(), cluster.source.since)
    cluster.send("policies", raw_policy(value=400))
    assert cluster.source.changed()
    assert 0.0 < (cluster.source.since or 0.0)
    cluster.source.reload()

    assert [400] == cluster.priorities
    assert cluster.source.since is None


def test_a_deleted_pod_can_still_be_named(cluster: Cluster) -> None:
    """Its last victim may be reported after its object is gone."""
    cluster.send_all()
    cluster.source.reload()
    cluster.send("pods")
    cluster.source.reload()

    assert [] == cluster.priorities
    assert [UID] == [pod.uid for pod in cluster.source.pods_for_naming]


def test_a_pod_that_failed_can_still_be_named(cluster: Cluster) -> None:
    """The container ids come from its last status. No earlier one has the id of a container that ends at once."""
    pod = raw_pod()
    del pod["status"]["containerStatuses"]
    cluster.send("policies", raw_policy(value=300))
    cluster.send("namespaces", {"metadata": {"name": "team-a"}})
    cluster.send("pods", pod)
    cluster.source.reload()
    failed = raw_pod()
    failed["status"]["phase"] = "Failed"
    cluster.source.followed["pods"].objects.changed(UID, keep_as("v1", "Pod", LabelFilter())(failed))
    cluster.source.reload()

    assert [] == cluster.priorities
    (named,) = cluster.source.pods_for_naming
    assert ("Failed", (APP,)) == (named.phase, named.containers[0].container_ids)
    assert cluster.source.known
    assert UID not in cluster.source.known.objects_json


class ManyLabels:
    """A cluster whose pod has too many labels to keep all of them. `asked` is the number of new lists of pods."""

    def __init__(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster, self.asked = cluster, 0
        self.pod = raw_pod()
        self.pod["metadata"]["labels"] |= {f"l{number}": "x" for number in range(9_000)}
        self.keep = keep_as("v1", "Pod", cluster.source._label_filter)
        monkeypatch.setattr(cluster.source._label_filter, "read_again", self._ask)
        cluster.send("namespaces", {"metadata": {"name": "team-a"}})

    def _ask(self) -> None:
        self.asked += 1

    def send_pods(self) -> None:
        self.cluster.source.followed["pods"].objects.replaced({UID: self.keep(self.pod)})


@pytest.fixture
def many(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> ManyLabels:
    return ManyLabels(cluster, monkeypatch)


def unless(label: str, value: int) -> dict[str, Any]:
    """Return a policy for all pods without this label."""
    raw = raw_policy(value=value)
    raw["spec"]["match"] = {"podSelector": {"matchExpressions": [{"key": label, "operator": "DoesNotExist"}]}}
    return raw


def test_a_pod_that_came_before_the_policies_counts_with_its_labels_only(cluster: Cluster, many: ManyLabels) -> None:
    """The checkpoint stays in force until the pods have come again, with the labels that the policies match."""
    cluster.source.restore(Checkpoint(BOOT, (raw_policy(value=100), raw_pod())))
    many.send_pods()
    cluster.send("policies", unless("app", 900))

    assert (False, 1) == (cluster.source.reload(), many.asked)
    assert ([100], True) == (cluster.priorities, cluster.source.incomplete)
    cluster.source.poll()
    (sentence,) = cluster.problems.current[Reason.NOT_SYNCED]
    assert (
        "waiting for a new list of pods from the API server, with the labels that policies select by, "
        "priorities from the checkpoint stay in force"
    ) == sentence
    cluster.source.changed()
    many.send_pods()
    assert cluster.source.changed()
    assert (True, 1) == (cluster.source.reload(), many.asked)
    assert ([500], False) == (cluster.priorities, cluster.source.incomplete)


def test_a_policy_with_a_new_label_waits_for_the_label(cluster: Cluster, many: ManyLabels) -> None:
    """The last state stays in force. The source keeps only those of a pod's thousands of labels that policies match."""
    many.send_pods()
    cluster.send("policies", raw_policy(value=300))
    cluster.source.reload()
    many.send_pods()
    cluster.source.reload()
    assert ([300], 1) == (cluster.priorities, many.asked)
    many.pod["metadata"]["labels"]["tier"] = "web"
    cluster.send("policies", raw_policy(value=300), {**unless("tier", 900), "metadata": {"name": "a", "uid": "a"}})
    since = cluster.source.since

    assert (False, 2) == (cluster.source.reload(), many.asked)
    assert ([300], False, since) == (cluster.priorities, cluster.source.incomplete, cluster.source.since)
    cluster.source.poll()
    assert {} == cluster.problems.current
    many.send_pods()
    assert (True, 2) == (cluster.source.reload(), many.asked)
    assert ([300], None) == (cluster.priorities, cluster.source.since)
    assert len(many.keep(many.pod).text) < 1_000


def test_an_invalid_object_is_reported_and_the_others_hold(cluster: Cluster) -> None:
    """One invalid policy must not stop all other policies on all nodes."""
    cluster.send_all()
    bad = raw_pod("bad", uid="22222222-2222-2222-2222-222222222222")
    bad["status"]["qosClass"] = "Best"
    cluster.send("pods", raw_pod(), bad)
    cluster.send("policies", raw_policy(value=300), raw_policy("bad", 4000))
    cluster.source.reload()

    assert [300] == cluster.priorities
    assert "OOMPolicy/bad: spec.priority.value" in cluster.problems.current[Reason.POLICIES_LEFT_OUT][0]
    assert "Pod/team-a/bad: status.qosClass" in cluster.problems.current[Reason.POD_FIELDS_UNREADABLE][0]
    cluster.send_all()
    cluster.source.reload()
    assert {} == cluster.problems.current


def test_the_checkpoint_gets_the_known_objects(cluster: Cluster) -> None:
    """They are trimmed, and can be read as manifests."""
    cluster.send_all()
    cluster.source.reload()
    assert cluster.source.known
    objects = json.loads(cluster.source.known.objects_json)

    assert ["OOMPolicy", "Namespace", "Pod"] == [raw["kind"] for raw in objects]
    again = Cluster()
    again.source.restore(Checkpoint(BOOT, tuple(objects)))
    assert again.source.known
    assert cluster.source.known.assignments == again.source.known.assignments
    again.source.close()


@pytest.mark.parametrize(("impersonate", "headers"), [(False, {}), (True, {"Impersonate-User": "system:node:node-1"})])
def test_only_pods_are_read_as_the_node(impersonate: bool, headers: dict[str, str]) -> None:
    """Impersonation applies to pods only, and the agent reads only those of its node.

    A list leaves out finished pods, of which a node may have thousands.
    """
    cluster = Cluster()
    settings = Settings(in_cluster=True, node="node-1", impersonate_node=impersonate)
    followed = follow(None, settings, cluster.source._wake, LabelFilter())  # type: ignore[arg-type]
    cluster.source.close()

    assert [{}, {}, headers] == [each.informer._headers for each in followed.values()]
    assert {"fieldSelector": "spec.nodeName=node-1"} == followed["pods"].informer._selectors
    expected = "spec.nodeName=node-1,status.phase!=Succeeded,status.phase!=Failed"
    assert {"fieldSelector": expected} == followed["pods"].informer._list_selectors
    assert [{}, {}] == [followed[name].informer._list_selectors for name in ("policies", "namespaces")]


# Outages of the API server.


def test_a_short_outage_is_not_reported() -> None:
    """An API server that restarts answers again in a few seconds."""
    notice = OutageNotice(30.0)
    notices = [notice.update([FailingWatch("refused", 1.0)], 100.0, 1_000.0), notice.update([], 110.0, 1_010.0)]

    assert [None, None] == notices


def test_a_long_outage_is_reported_with_its_beginning() -> None:
    """The beginning is the time of the last reply, and the sentence stays the same until the outage ends."""
    notice, failing = OutageNotice(30.0), [FailingWatch("pods: refused", 45.0), FailingWatch("namespaces: reset", 3.0)]
    notices = [notice.update(failing, now, now + 1_000_000.0) for now in (100.0, 129.0)]
    quieter = [FailingWatch("pods: refused", 85.0), FailingWatch("namespaces: reset", 43.0)]
    notices += [notice.update(quieter, now, now + 1_000_000.0) for now in (140.0, 141.0)]
    sentence = "no reply from the API server since 1970-01-12T13:47:35Z, the last state stays in force: "
    sentence += "pods: refused; namespaces: reset"

    assert [None, None, sentence, sentence] == notices
    assert not notice.update([], 150.0, 1_000_150.0)


def test_a_reply_in_between_starts_the_outage_again() -> None:
    """Two short outages are not one long outage."""
    notice = OutageNotice(30.0)
    notice.update([FailingWatch("refused", 5.0)], 100.0, 1_000.0)

    assert not notice.update([FailingWatch("refused", 2.0)], 140.0, 1_040.0)


# Settings.


@pytest.mark.parametrize(
    ("settings", "of_node", "mode"),
    [
        ({"mode": "Audit"}, None, "Audit"),
        ({"mode": "Audit"}, "Enforce", "Enforce"),
        ({"mode": "Enforce", "suspend": True}, None, "Off"),
        ({"mode": "Enforce", "suspend": True}, "Enforce", "Off"),
    ],
)
def test_the_mode_is_the_nodes_own_or_that_of_all_nodes(
    cluster: Cluster, settings: dict[str, Any], of_node: str | None, mode: str
) -> None:
    """`suspend` stops a node with a mode of its own, too."""
    oomnode = raw_oomnode(mode=of_node) if of_node else None

    assert mode == cluster.send_settings(raw_settings(**settings), oomnode=oomnode)


def test_the_mode_needs_no_pods(cluster: Cluster) -> None:
    """The kill switch works although the list of pods has not arrived."""
    assert "Off" == cluster.send_settings(raw_settings("Off"))
    assert cluster.source.incomplete


def test_without_settings_no_mode_is_wanted(cluster: Cluster) -> None:
    """The node keeps the mode that it has. The mode of the OOMNode alone does not count."""
    assert cluster.send_settings(oomnode=raw_oomnode(mode="Enforce")) is None


def test_no_mode_counts_before_both_lists_are_complete(cluster: Cluster) -> None:
    """A node that an entry of `nodeModes` selects must not enforce for a moment after a restart of the agent."""
    cluster.send("settings", raw_settings("Enforce"))
    cluster.source.reload()
    assert cluster.source.wanted is None
    cluster.send("oomnodes", raw_oomnode(mode="Audit"))
    cluster.source.reload()

    assert cluster.source.wanted
    assert "Audit" == cluster.source.wanted.mode


def test_deleted_settings_stay_in_force(cluster: Cluster) -> None:
    """To delete an OOMSettings that stops everything must not start it."""
    cluster.send_settings(raw_settings("Enforce", suspend=True))

    assert "Off" == cluster.send_settings()


def test_invalid_settings_leave_the_last_good_ones_in_force(cluster: Cluster) -> None:
    """A later version may have a mode that this agent does not know."""
    cluster.send_settings(raw_settings("Off"))

    assert "Off" == cluster.send_settings(raw_settings("Later"))
    (sentence,) = cluster.problems.current[Reason.SETTINGS_NOT_SYNCED]
    assert "OOMSettings/cluster: spec.mode: must be one of Enforce, Audit, Off, not 'Later'" in sentence
    assert "the last good settings stay in force" in sentence
    assert "Audit" == cluster.send_settings(raw_settings("Audit"))
    assert Reason.SETTINGS_NOT_SYNCED not in cluster.problems.current


def test_an_unknown_mode_of_the_node_is_reported_and_ignored(cluster: Cluster) -> None:
    """The mode of all nodes applies."""
    assert "Audit" == cluster.send_settings(raw_settings("Audit"), oomnode=raw_oomnode(mode="Later"))
    assert "no mode 'Later'" in cluster.problems.current[Reason.SETTINGS_NOT_SYNCED][0]


def test_unknown_fields_of_settings_are_reported(cluster: Cluster) -> None:
    """The settings are applied without them."""
    cluster.send_all()

    assert "Audit" == cluster.send_settings(raw_settings("Audit", laterField=1))
    assert "spec.laterField" in cluster.problems.current[Reason.UNKNOWN_FIELDS][0]


def test_a_status_of_the_oomnode_wakes_nobody(cluster: Cluster) -> None:
    """The agent writes it, and every heartbeat comes back as an event."""
    cluster.send_settings(raw_settings("Audit"), oomnode=raw_oomnode(mode="Off"))
    cluster.source.changed()
    cluster.send("oomnodes", {**raw_oomnode(mode="Off"), "status": {"mode": "Off"}})

    assert not cluster.source.changed()


def test_the_defaults_are_those_of_the_settings(cluster: Cluster) -> None:
    """They apply at once, and stay in force if OOMSettings is deleted."""
    cluster.send("policies")
    cluster.send("namespaces", {"metadata": {"name": "team-a"}})
    cluster.send("pods", raw_pod())
    cluster.send_settings()
    assert [500] == cluster.priorities
    cluster.send_settings(raw_settings(defaults={"burstable": 600}, hostPriority=700))
    assert [600] == cluster.priorities
    assert cluster.source.wanted
    assert 700 == cluster.source.wanted.host_priority
    cluster.send_settings()

    assert [600] == cluster.priorities
    assert Defaults(burstable=600) == cluster.source.defaults


def test_the_defaults_of_the_checkpoint_hold_until_the_settings_arrive(cluster: Cluster) -> None:
    """Otherwise each restart would give the built-in defaults to the pods for a moment."""
    cluster.source.restore(Checkpoint(BOOT, (raw_pod(),), defaults=Defaults(burstable=600)))
    assert [600] == cluster.priorities
    cluster.send("policies")
    cluster.send("namespaces", {"metadata": {"name": "team-a"}})
    cluster.send("pods", raw_pod())
    cluster.source.reload()
    assert [600] == cluster.priorities
    cluster.send_settings(raw_settings(defaults={"burstable": 400}))

    assert [400] == cluster.priorities
