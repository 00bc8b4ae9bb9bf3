# SPDX-License-Identifier: Apache-2.0
"""The API server accepts a victim's Event, its note describes the kill, and each retry gives the same Event."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.text import clip
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.mapping.owners import Owner
from oompolicy_agent.plumbing.text import clip_start, fit_bytes, printable
from oompolicy_agent.victims.event import FOREIGN, event, event_name, micro_time, note
from oompolicy_agent.victims.log import log_of
from oompolicy_agent.victims.manifestfile import as_json_line, as_yaml
from oompolicy_agent.victims.naming import HOST, UNKNOWN_POD, NamedVictim
from oompolicy_agent.victims.record import parse_victim
from tests.unit.agent.fakes import APP, BOOT, UID, record

if TYPE_CHECKING:
    from oompolicy_agent.status.reasons import Scope

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
APP_OWNER = Owner(
    "container",
    "/x",
    UID,
    APP,
    "team-a",
    "web-0",
    UID,
    "app",
    "container",
    300,
    "OOMPolicy web: value 300",
    "web",
    "p-1",
)
CHANGED = VictimFlag.SELECTED | VictimFlag.CHANGED | VictimFlag.SPARED_ENTRY
AUDIT = VictimFlag.SELECTED | VictimFlag.AUDIT


def named(owner: Owner = APP_OWNER, scope: Scope = "Node", path: str = "", **fields: Any) -> NamedVictim:  # noqa: ANN401
    priority = {"priority": 300, "priority_level": 0} if owner.cgroup_uid else {}
    victim = parse_victim(bytes(record(**{**priority, "anon_pages": 207_872, **fields})), BOOT)
    decided = owner if victim.priority_cgroup_id else None
    return NamedVictim(victim, owner, decided, scope, path, None, None)


def by(trigger: Owner | None) -> NamedVictim:
    return replace(named(trigger_tgid=8, trigger_comm=b"kubelet"), trigger_owner=trigger)


def spared(owner: Owner, **fields: Any) -> NamedVictim:  # noqa: ANN401
    task = {"spared_tgid": 9, "spared_comm": b"psql", "spared_priority": 900, "spared_badness": 77, **fields}
    return replace(named(**{"flags": CHANGED, **task}), spared_owner=owner)


def test_an_event_has_the_fields_of_the_api() -> None:
    """The victim is a container with a priority from a policy."""
    expected = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": event_name("web-0", named().victim), "namespace": "team-a"},
        "eventTime": "2001-09-09T01:46:41.123456Z",
        "type": "Warning",
        "reason": "OOMVictimKilled",
        "action": "Kill",
        "reportingController": "oompolicy.dev/agent",
        "reportingInstance": "node-1",
        "regarding": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": "team-a",
            "name": "web-0",
            "uid": UID,
            "fieldPath": "spec.containers{app}",
        },
        "related": {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "name": "web", "uid": "p-1"},
        "note": (
            "Kernel OOM killer killed java (pid 4711, anon-rss 812 MiB) in container app of pod team-a/web-0: "
            "scope Node: the node ran out of memory; priority 300 from OOMPolicy web: value 300; "
            "trigger: its own allocation"
        ),
    }

    assert expected == event(named(), "node-1", 1_000_000_000_123_456_789 - 0, disclose=True)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("container", "spec.containers{app}"),
        ("init", "spec.initContainers{app}"),
        ("sidecar", "spec.initContainers{app}"),
        ("ephemeral", "spec.ephemeralContainers{app}"),
    ],
)
def test_the_field_path_depends_on_the_container_kind(kind: str, path: str) -> None:
    assert (
        path == event(named(replace(APP_OWNER, container_kind=kind)), "n", 0, disclose=True)["regarding"]["fieldPath"]
    )


@pytest.mark.parametrize("owner", [HOST, UNKNOWN_POD, Owner("container", "/x", UID, APP)])
def test_without_a_pod_the_event_regards_the_node(owner: Owner) -> None:
    """An Event has to be in its subject's namespace. The victim is a process of the host, or of an unknown pod."""
    made = event(named(owner), "node-1", 0, disclose=True)

    assert {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "node-1"} == made["regarding"]
    assert "default" == made["metadata"]["namespace"]
    assert "related" not in made


def test_a_default_relates_to_no_policy() -> None:
    """Only a victim with a policy's priority has a related object."""
    assert "related" not in event(named(replace(APP_OWNER, policy="")), "n", 0, disclose=True)
    assert "related" not in event(named(flags=0), "n", 0, disclose=True)


def test_a_policy_without_uid_is_related_by_name() -> None:
    """The policy came from a file."""
    related = event(named(replace(APP_OWNER, policy_uid="")), "n", 0, disclose=True)["related"]

    assert "uid" not in related


@pytest.mark.parametrize(
    ("victim", "text"),
    [
        (named(HOST), "in cgroup /, a process of the host: "),
        (named(UNKNOWN_POD), "in cgroup / in an unknown pod: "),
        (named(Owner("container", "/x", UID, APP)), f"in container id abababababab of pod uid {UID}: "),
        (named(replace(APP_OWNER, container=""), oom_score_adj=-998), "in the sandbox of container id abababababab of"),
        (named(scope="Kubepods", path="/k"), "scope Kubepods: the pods together reached the limit of /k;"),
        (named(scope="Pod"), "scope Pod: the pod reached its memory limit;"),
        (named(scope="Container"), "scope Container: the container reached its memory limit;"),
        (named(scope="Other", path="/a"), "scope Other: the limit of cgroup /a was reached;"),
        (named(scope="Other", scope_cgroup_id=9), "scope Other: the limit of cgroup with id 9 was reached;"),
        (named(flags=17), "scope Node: no memory is left on the NUMA nodes that its cpuset or memory policy allows;"),
        (named(scope="Unknown", flags=32), "scope unknown: oompolicy did not see this OOM begin; priority 300, but it"),
        (named(scope="Unknown", flags=32), "; priority 300, but it is unknown if the kernel used it; trigger"),
        (named(flags=5), "; killed together with the chosen process; priority 300"),
        (named(flags=0), "; priority 300, but the kernel did not use priorities in this OOM;"),
        (
            named(flags=VictimFlag.OFF),
            "; priority 300, which the kernel did not use, because the mode of the node is Off; trigger",
        ),
        (named(flags=AUDIT), "; mode Audit: the policy would have killed it too"),
        (
            named(flags=AUDIT | VictimFlag.UNSURE),
            "; mode Audit: it is unknown which process the policy would have killed",
        ),
        (
            spared(APP_OWNER, flags=AUDIT | VictimFlag.CHANGED),
            "; mode Audit: the policy would have killed psql (pid 9) in container app of pod team-a/web-0, "
            "priority 900, badness 77",
        ),
        (named(HOST, priority=1000), "; priority 1000, the default for processes of the host;"),
        (named(priority_level=12), "; priority 300; trigger"),
        (named(priority=299), "; priority 299; trigger"),
        (by(None), "; trigger: kubelet (pid 8), owner unknown"),
        (by(HOST), "; trigger: kubelet (pid 8), a process of the host"),
        (by(UNKNOWN_POD), "; trigger: kubelet (pid 8) in an unknown pod"),
        (by(APP_OWNER), "; trigger: kubelet (pid 8) in container app of pod team-a/web-0"),
        (
            spared(UNKNOWN_POD),
            "; spared: psql (pid 9) in an unknown pod, "
            "priority 900, badness 77, would have been killed without the policy",
        ),
        (spared(HOST, spared_comm=b""), "; spared: a process (pid 9), a process of the host, priority 900"),
        (spared(APP_OWNER), "; spared: psql (pid 9) in container app of pod team-a/web-0, priority"),
    ],
)  # fmt: skip
def test_the_note_has_a_sentence_for_each_fact(victim: NamedVictim, text: str) -> None:
    """Facts are owner, scope, priority, trigger and spared."""
    assert text in note(victim, disclose=True)


words = st.text(max_size=300)
comms = st.binary(max_size=16)


@given(st.tuples(words, words, words, words), st.tuples(comms, comms, comms))
def test_a_note_fits_with_names_of_any_length(names: tuple[str, ...], processes: tuple[bytes, ...]) -> None:
    """A note has at most 1,024 bytes of UTF-8, is one line, and has no half characters."""
    pod, container, reason, path = names
    owner = replace(APP_OWNER, pod=pod, container=container, reason=reason)
    comms = dict(zip(("victim_comm", "trigger_comm", "spared_comm"), processes, strict=True))
    victim = replace(
        named(owner, "Other", path, flags=31, trigger_tgid=9, **comms), trigger_owner=owner, spared_owner=owner
    )

    assert len(note(victim, disclose=True).encode()) <= 1024
    assert note(victim, disclose=True).isprintable()


@given(comms, st.text(max_size=16))
def test_an_event_is_the_same_after_encoding(comm: bytes, path: str) -> None:
    """It can be read back from YAML and from JSON."""
    made = event(named(HOST, "Other", printable(path), victim_comm=comm), "node-1", 0, disclose=True)

    assert made == yaml.safe_load(as_yaml(made))
    assert made == json.loads(as_json_line(made))


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True))
def test_an_events_name_is_a_subdomain(pod: str) -> None:
    """The pod's name may have any length, and may be cut at dots and dashes."""
    name = event_name(pod, named().victim)

    assert len(name) <= 253
    if SUBDOMAIN.fullmatch(pod):
        assert SUBDOMAIN.fullmatch(name)


def test_an_events_name_is_stable() -> None:
    """It depends only on process and boot, so a retry or another program generation gives the same name."""
    first, again = named(), named(boottime_ns=77, anon_pages=1, scope="Pod")
    other = named(start_boottime_ns=6)

    assert event_name("web-0", first.victim) == event_name("web-0", again.victim)
    assert event_name("web-0", first.victim) != event_name("web-0", other.victim)
    assert "web-0.6556148fbf65d580" == event_name("web-0", first.victim)


def test_times_have_microseconds() -> None:
    """metav1.MicroTime has six digits, with zeros."""
    assert "2026-11-22T20:31:47.000001Z" == micro_time(1_795_379_507_000_001_999)


@given(st.text(), st.integers(3, 50))
def test_cut_text_fits(text: str, limit: int) -> None:
    """The text is cut at either end, by characters or by bytes."""
    assert len(clip(text, limit)) <= limit
    assert len(clip_start(text, limit)) <= limit
    assert len(fit_bytes(text, limit).encode()) <= limit
    assert text in (clip(text, len(text)), clip_start(text, len(text)))


# Tenants.

ELSEWHERE = replace(APP_OWNER, namespace="team-b", pod="db-0", container="postgres")
FOREIGN_TRIGGER = "; trigger: a process of a pod in another namespace"
FOREIGN_SPARED = "; spared: a process of a pod in another namespace, which would have been killed without the policy"


@pytest.mark.parametrize("owner", [ELSEWHERE, UNKNOWN_POD, None])
def test_note_names_no_process_that_may_run_in_another_namespace(owner: Owner | None) -> None:
    """Process, pid, pod, container, priority and memory are left out, and the log has them."""
    trigger, other = by(owner), replace(spared(APP_OWNER), spared_owner=owner)

    assert note(trigger, disclose=False).endswith(FOREIGN_TRIGGER)
    assert note(other, disclose=False).endswith(FOREIGN_SPARED)
    audited = replace(spared(APP_OWNER, flags=AUDIT | VictimFlag.CHANGED), spared_owner=owner)
    assert note(audited, disclose=False).endswith(f"; mode Audit: the policy would have killed {FOREIGN}")
    for text in (note(trigger, disclose=False), note(other, disclose=False), note(audited, disclose=False)):
        assert not any(word in text for word in ("kubelet", "psql", "team-b", "db-0", "postgres", "900", "77"))


@pytest.mark.parametrize("owner", [APP_OWNER, replace(APP_OWNER, pod="other-0"), HOST])
def test_note_names_processes_of_the_own_namespace_and_of_the_host(owner: Owner) -> None:
    for victim in (by(owner), spared(owner)):
        assert note(victim, disclose=True) == note(victim, disclose=False)


def test_note_of_a_process_of_the_host_names_no_pod() -> None:
    """Its Event is in the namespace default, which a tenant may be able to read."""
    victim = replace(named(HOST, trigger_tgid=8, trigger_comm=b"java"), trigger_owner=APP_OWNER)

    assert note(victim, disclose=False).endswith(FOREIGN_TRIGGER)


def test_event_of_a_victim_discloses_as_its_note() -> None:
    victim = spared(ELSEWHERE)

    assert note(victim, disclose=False) == event(victim, "node-1", 0, disclose=False)["note"]
    assert note(victim, disclose=True) == event(victim, "node-1", 0, disclose=True)["note"]


def test_log_has_all_parts_of_a_victim() -> None:
    """The keys are a contract: docs/reference.md describes them."""
    victim = replace(spared(ELSEWHERE, trigger_tgid=8, trigger_comm=b"kubelet"), trigger_owner=HOST)

    assert {
        "time": "2001-09-09T01:46:41.123456Z",
        "node": "node-1",
        "namespace": "team-a",
        "pod": "web-0",
        "container": "app",
        "process": "java",
        "pid": 4711,
        "priority": 300,
        "policy": "web",
        "scope": "Node",
        "mode": "Enforce",
        "comparison": "Different",
        "spared": {
            "process": "psql",
            "pid": 9,
            "namespace": "team-b",
            "pod": "db-0",
            "container": "postgres",
            "priority": 900,
            "badness": 77,
        },
        "trigger": {"process": "kubelet", "pid": 8, "namespace": None, "pod": None, "container": None},
        "source": "Program",
        "lookAge": None,
        "missed": [],
        "message": note(victim, disclose=True),
    } == log_of(victim, "node-1", 1_000_000_000_123_456_789)


def test_log_of_a_process_of_the_host_has_no_pod() -> None:
    found = log_of(named(HOST, priority=1000), "node-1", 0)

    assert [None] * 5 == [found[key] for key in ("namespace", "pod", "container", "policy", "spared")]
