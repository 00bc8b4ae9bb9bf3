# SPDX-License-Identifier: Apache-2.0
"""A real API server accepts the rendered objects of each scenario, and they have only the documented privileges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from oompolicy.kube.errors import ApiError
from oompolicy.parse import parse_pod, parse_policy
from oompolicy.resolve.matching import matches_pod
from oompolicy_agent import settings
from tests.cluster.chart.scenarios import ADJUSTER, PROOF, SCENARIOS, Scenario, containers, named, pod_templates
from tests.cluster.deployment import DEPLOY

if TYPE_CHECKING:
    from tests.cluster.chart.helm import Helm
    from tests.cluster.cluster import Cluster
    from tests.cluster.kubectl import Kubectl

# The Prometheus operator defines these kinds. The chart does not, so the API server of a test does not know them.
FOREIGN = {"PodMonitor", "PrometheusRule", "ServiceMonitor"}
LOADERS = {"loader", "detach"}
ADJUSTERS = {"adjuster", "restore"}
KERNEL_FOLDERS = {"/sys/fs/bpf", "/sys/fs/cgroup", "/sys/kernel/security"}
AGENT_PATHS = {"/sys/fs/bpf/oompolicy", "/sys/fs/cgroup", "/run/oompolicy", "/var/lib/oompolicy"}
ADJUSTER_PATHS = {"/run/oompolicy", "/run/oompolicy-adjuster", "/sys/fs/cgroup"}


def test_an_api_server_accepts_the_objects(
    objects: list[dict[str, Any]], session_cluster: Cluster, kubectl: Kubectl
) -> None:
    """The API server knows each field. It validates the objects without storing them."""
    ours = [each for each in objects if each["kind"] not in FOREIGN]
    session_cluster.kubectl("apply", "--server-side", "-f", str(DEPLOY / "namespace.yaml"))
    flags = ("--server-side", "--validate=strict", "--dry-run=server", "--field-manager=helm", "--force-conflicts")

    said = kubectl("apply", *flags, "-f", "-", "-o", "name", stdin=yaml.safe_dump_all(ours))
    assert len(ours) == len(said.splitlines())


def test_an_unknown_field_would_be_refused(objects: list[dict[str, Any]], kubectl: Kubectl) -> None:
    """The API server refuses an object with one more field, so the test above can fail."""
    daemonset = named(objects, "DaemonSet", "oompolicy-agent")
    spec = {**daemonset["spec"], "updateStratagem": {}}
    flags = ("--server-side", "--validate=strict", "--dry-run=server")

    with pytest.raises(Exception, match="updateStratagem"):
        kubectl("apply", *flags, "-f", "-", stdin=yaml.safe_dump({**daemonset, "spec": spec}))


def test_the_rules_are_those_of_deploy(scenario: Scenario, objects: list[dict[str, Any]]) -> None:
    """The rules have the chart's labels in addition, and contain exactly one of the two ways to read pods."""
    left_out = "agent-pods.yaml" if scenario.own_node else "agent-pods-impersonated.yaml"
    files = [file for file in DEPLOY.glob("*.yaml") if file.name not in {left_out, "namespace.yaml"}]
    expected = [each for file in files for each in yaml.safe_load_all(file.read_text())]

    for each in expected:
        found = named(objects, each["kind"], each["metadata"]["name"])
        labels = found["metadata"].pop("labels")
        assert each == found
        found["metadata"]["labels"] = labels
    others = {file.stem for file in DEPLOY.glob("agent-pods*.yaml")} - {file.stem for file in files}
    assert {f"oompolicy-{name}" for name in others}.isdisjoint(each["metadata"]["name"] for each in objects)


def test_without_a_cluster_the_manifests_are_those_of_the_oldest_kubernetes(
    helm: Helm, rendered: dict[str, list[dict[str, Any]]]
) -> None:
    """Helm's own default is newer than many clusters, so the chart does not rely on it."""
    assert rendered["oldest"] == helm.template(version=None)


def test_the_rules_name_the_namespace_of_the_release(helm: Helm) -> None:
    """The accounts, and the user name in the admission policies, have the release's namespace."""
    text = yaml.safe_dump_all(helm.template(namespace="elsewhere"))

    assert "system:serviceaccount:elsewhere:oompolicy-agent" in text
    assert "oompolicy-system" not in text


def test_only_loaders_and_adjusters_have_capabilities(scenario: Scenario, objects: list[dict[str, Any]]) -> None:
    """Every container drops all capabilities first. The agent is not root, so its BPF is only in the bounding set."""
    found = {}
    for _, spec in pod_templates(objects):
        for name, container in containers(spec).items():
            context = container["securityContext"]
            assert ["ALL"] == context["capabilities"]["drop"], name
            assert context["readOnlyRootFilesystem"], name
            assert not context["allowPrivilegeEscalation"], name
            assert context["runAsNonRoot"] == (name not in LOADERS | ADJUSTERS), name
            if added := context["capabilities"].get("add"):
                found[name] = added
    loaders = {name: list(scenario.capabilities) for name in LOADERS if name in found}
    if scenario.proof:
        loaders["loader"] = sorted({*loaders["loader"], *PROOF})
    adjusters = {name: ADJUSTER for name in ADJUSTERS if name in found}
    if scenario.kernel_log:
        adjusters["adjuster"] = sorted([*ADJUSTER, "SYSLOG"])

    assert "loader" in found
    assert {"agent": ["BPF"], **loaders, **adjusters} == found
    assert scenario.adjuster == ("adjuster" in found)


def test_only_a_loader_that_makes_a_proof_writes_to_cgroups(scenario: Scenario, objects: list[dict[str, Any]]) -> None:
    """The loader then has the host's cgroup namespace, too. Otherwise it has neither, and the flag for no proof.

    The uninstall can remove the cgroup that a killed loader left.
    """
    spec = named(objects, "DaemonSet", "oompolicy-agent")["spec"]["template"]["spec"]
    loader = containers(spec)["loader"]
    mounts = {each["name"]: each for each in loader["volumeMounts"]}

    assert scenario.proof != bool(mounts["cgroup"].get("readOnly"))
    assert scenario.proof == ("namespaces" in mounts)
    assert scenario.proof == ("--cgroup-namespace=/host/ns/cgroup" in loader["args"])
    assert scenario.proof != ("--no-proof" in loader["args"])
    for name, each in pod_templates(objects):
        if name == "oompolicy-detach":
            assert scenario.proof == ("/sys/fs/cgroup" in host_paths(each, "detach")[1])


def host_paths(spec: dict[str, Any], container: str) -> tuple[set[str], set[str]]:
    """Return the folders of the node that a container mounts, and those of them that it can write to."""
    volumes = {each["name"]: each["hostPath"]["path"] for each in spec["volumes"] if "hostPath" in each}
    mounts = [each for each in containers(spec)[container]["volumeMounts"] if each["name"] in volumes]
    writable = {volumes[each["name"]] for each in mounts if not each.get("readOnly")}
    return {volumes[each["name"]] for each in mounts}, writable


def test_the_build_mounts_only_a_folder_that_every_node_has(helm: Helm) -> None:
    """The runtime cannot make a folder that is missing in a read-only /usr, and then no container of the pod starts."""
    objects = SCENARIOS["defaults"].rendered(helm)
    spec = named(objects, "DaemonSet", "oompolicy-agent")["spec"]["template"]["spec"]
    folders, writable = host_paths(spec, "build")

    assert {"/usr"} == folders
    assert not writable
    assert {"path": "/usr", "type": "Directory"} in [each.get("hostPath") for each in spec["volumes"]]


def test_the_agent_mounts_only_the_folders_that_it_needs(scenario: Scenario, objects: list[dict[str, Any]]) -> None:
    """The agent mounts four folders, and the adjuster's where there is one. It cannot write to the cgroups and there.

    Its token is in neither loader nor build.
    """
    spec = named(objects, "DaemonSet", "oompolicy-agent")["spec"]["template"]["spec"]
    folders, writable = host_paths(spec, "agent")
    adjusters = {"/run/oompolicy-adjuster"} if scenario.scores or scenario.kernel_log else set()
    with_token = [
        name for name, each in containers(spec).items() if "token" in {mount["name"] for mount in each["volumeMounts"]}
    ]

    assert folders == AGENT_PATHS | adjusters
    assert writable == AGENT_PATHS - {"/sys/fs/cgroup"}
    assert ["agent"] == with_token
    assert not spec["automountServiceAccountToken"]


def test_the_agent_asks_for_what_the_adjuster_may_do(
    scenario: Scenario, rendered: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent accepts the arguments of its container, and reads the reports where the chart mounts them."""
    monkeypatch.setenv("NODE_NAME", "node-a")
    spec = named(rendered[scenario.name], "DaemonSet", "oompolicy-agent")["spec"]["template"]["spec"]
    arguments = [each.replace("$(POD_IP)", "::1") for each in containers(spec)["agent"]["args"] if each != "--one"]
    chosen = settings.parse(arguments)
    mounted = {each["mountPath"] for each in containers(spec)["agent"]["volumeMounts"]}

    assert (scenario.scores, scenario.kernel_log) == (chosen.scores, chosen.kernel_log)
    assert (scenario.scores or scenario.kernel_log) == (str(chosen.adjuster_dir) in mounted)


def test_the_adjuster_writes_to_its_own_folder_and_to_cgroups_with_kill_scopes(
    scenario: Scenario, objects: list[dict[str, Any]]
) -> None:
    """It sees the processes of the node, and has neither a token nor the node's network nor a port."""
    found = [spec for name, spec in pod_templates(objects) if name == "oompolicy-adjuster"]
    cgroups = {"/sys/fs/cgroup"} if scenario.kill_scope else set()
    assert len(found) == scenario.adjuster
    for spec in found:
        assert (ADJUSTER_PATHS, {"/run/oompolicy-adjuster", *cgroups}) == host_paths(spec, "adjuster")
        assert spec["hostPID"]
        assert not spec["automountServiceAccountToken"]
        assert {"hostNetwork", "hostIPC", "initContainers"}.isdisjoint(spec)
        assert "ports" not in containers(spec)["adjuster"]


def test_the_adjuster_runs_where_the_agent_runs(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """Selector, tolerations, PriorityClass and the size of a rollout are the agent's."""
    for scenario in ("defaults", "placed"):
        agent, adjuster = (
            named(rendered[scenario], "DaemonSet", f"oompolicy-{name}") for name in ("agent", "adjuster")
        )
        assert agent["spec"]["updateStrategy"] == adjuster["spec"]["updateStrategy"]
        for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
            specs = [each["spec"]["template"]["spec"] for each in (agent, adjuster)]
            assert specs[0].get(key) == specs[1].get(key), (scenario, key)


def test_every_uninstall_restores_the_values_of_each_node(scenario: Scenario, objects: list[dict[str, Any]]) -> None:
    """An earlier revision of the release may have had an adjuster. Adjusters end first, because one holds the lock."""
    detach = [spec for name, spec in pod_templates(objects) if name == "oompolicy-detach"]
    stops = [containers(spec)["release"]["args"] for name, spec in pod_templates(objects) if name.endswith("-agents")]
    expected = 0 if scenario.name == "smallest" else 1

    assert [expected, expected] == [len(detach), len(stops)]
    for spec, arguments in zip(detach, stops, strict=True):
        assert ["detach", "restore"] == [each["name"] for each in spec["initContainers"]]
        assert ["--restore"] == containers(spec)["restore"]["args"]
        assert {"/run/oompolicy-adjuster", "/sys/fs/cgroup"} == host_paths(spec, "restore")[1]
        assert spec["hostPID"]
        assert {"--daemonset=oompolicy-agent", "--daemonset=oompolicy-adjuster"} <= set(arguments)


def test_the_accounts_of_helms_hooks_can_create_nothing(objects: list[dict[str, Any]]) -> None:
    """Helm itself creates the DaemonSet that detaches. An account with that right would be root on every node."""
    roles = [
        each
        for each in objects
        if each["kind"] in ("Role", "ClusterRole") and "helm.sh/hook" in each["metadata"].get("annotations", {})
    ]
    verbs = {verb for role in roles for rule in role["rules"] for verb in rule["verbs"]}

    assert roles
    assert verbs <= {"get", "list", "delete"}


def test_every_volume_is_mounted_and_every_mount_has_a_volume(objects: list[dict[str, Any]]) -> None:
    """A folder of the node that no container uses would be an unnecessary risk."""
    for name, spec in pod_templates(objects):
        mounted = {mount["name"] for each in containers(spec).values() for mount in each.get("volumeMounts", ())}
        assert mounted == {each["name"] for each in spec.get("volumes", ())}, name


def test_mounts_below_sys_are_on_folders_of_the_kernel(objects: list[dict[str, Any]]) -> None:
    """The /sys of a container is the kernel's own, and the runtime cannot create more folders there."""
    found = [each for _, spec in pod_templates(objects) for each in containers(spec).values()]
    paths = {mount["mountPath"] for each in found for mount in each.get("volumeMounts", ())}

    assert {path for path in paths if path.startswith("/sys")} <= KERNEL_FOLDERS


def test_each_program_has_five_minutes_to_start(objects: list[dict[str, Any]]) -> None:
    """A starved node takes minutes to start a program. If a probe killed it earlier, the program would never run."""
    specs = [each["spec"]["template"]["spec"] for each in objects if each["kind"] in ("DaemonSet", "Deployment")]
    probed = [each for spec in specs for each in spec["containers"] if "livenessProbe" in each]

    assert probed
    assert all(
        each["startupProbe"]["periodSeconds"] * each["startupProbe"]["failureThreshold"] >= 300 for each in probed
    )


def test_an_agent_impersonates_its_node_if_it_may_read_only_its_pods(
    scenario: Scenario, objects: list[dict[str, Any]]
) -> None:
    """The agent has the flag `--impersonate-node` in the scenario with the matching rule, and in no other."""
    spec = named(objects, "DaemonSet", "oompolicy-agent")["spec"]["template"]["spec"]

    assert scenario.own_node == ("--impersonate-node" in containers(spec)["agent"]["args"])


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("defaults", ["--headers=/host/usr/lib/modules/%r/build"]),
        ("dkms", ["--module=/host/module/%r/updates/dkms/oompolicy_hook.ko"]),
        ("prebuilt", ["--module=/modules/%r.ko"]),
        ("kernel", ["--no-module"]),
    ],
)
def test_preflight_answers_for_the_module_of_the_release(
    rendered: dict[str, list[dict[str, Any]]], name: str, flags: list[str]
) -> None:
    """It reads the headers or the file that the agents' build or loader reads."""
    (container,) = named(rendered[name], "Pod", "oompolicy-preflight")["spec"]["containers"]
    about_the_module = [each for each in container["args"] if "module" in each]

    assert ["preflight", "--root=/host"] == container["args"][:2]
    assert flags == about_the_module


@pytest.mark.parametrize(
    ("flags", "promised"),
    [
        ((), True),
        (("--set", "hook.source=scores"), True),
        (("--set", "scoreAdj=null"), True),
        (("--set", "scoreAdj.enabled=false"), False),
        (("--set", "hook.source=module"), False),
    ],
)
def test_preflight_promises_scores_only_if_the_release_writes_them(
    helm: Helm, flags: tuple[str, ...], promised: bool
) -> None:
    """A release from before the adjuster has no such value, and then the default applies, as for the agents."""
    (container,) = named(helm.template(*flags), "Pod", "oompolicy-preflight")["spec"]["containers"]

    assert promised == ("--no-adjuster" not in container["args"])


def test_preflight_promises_victims_from_the_log_only_if_the_adjuster_may_read_it(
    scenario: Scenario, objects: list[dict[str, Any]]
) -> None:
    (container,) = named(objects, "Pod", "oompolicy-preflight")["spec"]["containers"]

    assert scenario.kernel_log == ("--kernel-log" in container["args"])


def test_preflight_can_change_nothing_on_its_node(objects: list[dict[str, Any]]) -> None:
    """It mounts every folder read-only and below /host, runs as the agent's user, and has no token."""
    spec = named(objects, "Pod", "oompolicy-preflight")["spec"]
    (container,) = spec["containers"]

    assert not spec["automountServiceAccountToken"]
    assert 41317 == container["securityContext"]["runAsUser"]
    assert "add" not in container["securityContext"]["capabilities"]
    assert all(each["readOnly"] and each["mountPath"].startswith("/host/") for each in container["volumeMounts"])


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("defaults", "--module=/module/oompolicy_hook.ko"),
        ("module", "--module=/module/oompolicy_hook.ko"),
        ("dkms", "--module=/host/module/%r/updates/dkms/oompolicy_hook.ko"),
        ("prebuilt", "--module=/modules/%r.ko"),
        ("kernel", None),
        ("scores", None),
    ],
)
def test_the_loader_finds_the_module(rendered: dict[str, list[dict[str, Any]]], name: str, module: str | None) -> None:
    """The path fits the source of the module. The loader gets no path if the kernel has the hook."""
    spec = named(rendered[name], "DaemonSet", "oompolicy-agent")["spec"]["template"]["spec"]
    (loader,) = (each for each in spec["initContainers"] if each["name"] == "loader")

    assert [module] if module else [] == [each for each in loader["args"] if each.startswith("--module=")]
    assert ("build" in containers(spec)) == (name in ("defaults", "module"))


@pytest.mark.parametrize("name", ["oompolicy-agent", "oompolicy-adjuster"])
def test_the_policy_matches_agents_and_adjusters(rendered: dict[str, list[dict[str, Any]]], name: str) -> None:
    """They are node-critical, so the policy has to name their class."""
    agent = named(rendered["defaults"], "DaemonSet", name)["spec"]["template"]
    policy = parse_policy(named(rendered["defaults"], "OOMPolicy", "oompolicy"))
    pod = parse_pod(
        {"metadata": {"name": "a", "labels": agent["metadata"]["labels"]}, "spec": agent["spec"]}, stand_in_uid=True
    )

    assert "system-node-critical" == pod.priority_class_name
    assert matches_pod(policy.match, pod)


def test_images_come_from_the_registry_of_the_values(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """An image with a digest in the values has no tag, and all pods have the pull secrets."""
    images = {each["image"] for _, spec in pod_templates(rendered["private"]) for each in containers(spec).values()}
    secrets = {str(spec["imagePullSecrets"]) for _, spec in pod_templates(rendered["private"])}

    assert {
        "registry.example/platform/oompolicy:1.2.3",
        "registry.example/platform/oompolicy-loader@sha256:" + "0" * 64,
    } == images
    assert {"[{'name': 'one'}, {'name': 'two'}]"} == secrets


def test_the_podmonitor_selects_the_pods_with_its_port(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """The PodMonitor selects every pod that has its port, and no other pod."""
    monitor = named(rendered["watched"], "PodMonitor", "oompolicy")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    (components,) = monitor["selector"]["matchExpressions"]
    listening = {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for each in rendered["watched"]
        if "template" in each.get("spec", {})
        for container in each["spec"]["template"]["spec"]["containers"]
        if endpoint["port"] in {port["name"] for port in container.get("ports", ())}
    }

    assert listening == set(components["values"])


def test_the_networkpolicy_admits_only_the_pods_of_the_values(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """The policy selects each pod that listens, and opens only its port. The kubelet of the node needs no rule."""
    spec = named(rendered["guarded"], "NetworkPolicy", "oompolicy")["spec"]
    (components,) = spec["podSelector"]["matchExpressions"]
    listening = {
        (each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"], port["containerPort"])
        for each in rendered["guarded"]
        if "template" in each.get("spec", {})
        for container in each["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", ())
    }
    (rule,) = spec["ingress"]

    assert (["Ingress"], "In") == (spec["policyTypes"], components["operator"])
    assert set(components["values"]) == {component for component, _ in listening}
    assert {port["port"] for port in rule["ports"]} == {port for _, port in listening}
    assert [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}] == rule["from"]


def test_the_networkpolicy_denies_the_adjuster_all_connections(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """No rule follows, so both directions are closed."""
    spec = named(rendered["guarded"], "NetworkPolicy", "oompolicy-adjuster")["spec"]
    adjuster = named(rendered["guarded"], "DaemonSet", "oompolicy-adjuster")["spec"]["selector"]

    assert {"podSelector": adjuster, "policyTypes": ["Ingress", "Egress"]} == spec


def test_by_default_there_is_no_networkpolicy(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """The chart cannot know where Prometheus runs, so a default policy could block it."""
    assert not [each for each in rendered["defaults"] if each["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize("level", ["restricted", "privileged"])
def test_only_pods_with_folders_of_the_node_need_the_level_privileged(
    rendered: dict[str, list[dict[str, Any]]], session_cluster: Cluster, level: str
) -> None:
    """Agent, adjuster, detach and preflight need the level `privileged`, and all other pods meet `restricted`."""
    api, name = session_cluster.api, f"security-{level}"
    api.namespace(name, {"pod-security.kubernetes.io/enforce": level})
    refused = set()
    for pod, spec in pod_templates(rendered["defaults"]):
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": name}, "spec": spec}
        try:
            api.create(body, dryRun="All")
        except ApiError as error:
            if "violates PodSecurity" not in error.message:
                raise
            refused.add(pod)

    with_folders = {f"oompolicy-{name}" for name in ("agent", "adjuster", "detach", "preflight")}
    assert (with_folders if level == "restricted" else set()) == refused


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), ["--silent-after=600"]),
        (("--set", "operator.silentAfter=86400"), ["--silent-after=86400"]),
        (("--set", "operator.silentAfter=null"), []),
    ],
)
def test_the_operator_gets_the_time_of_silence(helm: Helm, flags: tuple[str, ...], expected: list[str]) -> None:
    """Without a value, as `helm upgrade --reuse-values` leaves it, the operator has its own default."""
    deployment = named(helm.template(*flags), "Deployment", "oompolicy-operator")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]

    assert ["--listen=[$(POD_IP)]:8080", *expected] == arguments
