# SPDX-License-Identifier: Apache-2.0
"""Values that a user could give the chart, and the capabilities of the loader with these values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.chart.helm import Helm

MODULE = ["CHOWN", "DAC_OVERRIDE", "SYSLOG", "SYS_ADMIN", "SYS_MODULE"]
KERNEL = ["BPF", "CHOWN", "DAC_OVERRIDE", "PERFMON"]
ADJUSTER = ["DAC_OVERRIDE", "SYS_RESOURCE"]

PROOF = ["SYS_ADMIN", "SYS_PTRACE"]


@dataclass(frozen=True)
class Scenario:
    """Arguments of `--set`, the version of the cluster, and the capabilities that the loader has with them.

    `proof` is False if the loader makes no proof, and so needs no more capabilities.
    """

    name: str
    sets: tuple[str, ...] = ()
    version: str = "1.36.4"
    capabilities: tuple[str, ...] = tuple(MODULE)
    proof: bool = True
    own_node: bool = False
    scores: bool = True
    kill_scope: bool = False
    kernel_log: bool = False

    @property
    def adjuster(self) -> bool:
        """True if the release has an adjuster."""
        return self.scores or self.kill_scope or self.kernel_log

    def rendered(self, helm: Helm) -> list[dict[str, Any]]:
        return helm.template(*(word for each in self.sets for word in ("--set", each)), version=self.version)


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("defaults"),
        Scenario("oldest", version="1.30.0"),
        Scenario("all-pods", ("agent.podAccess=allPods",)),
        Scenario("own-node", ("agent.podAccess=ownNode",), own_node=True),
        Scenario("no-proof", ("proof.enabled=false",), proof=False),
        Scenario("scores", ("hook.source=scores",), capabilities=tuple(KERNEL), proof=False),
        Scenario("module", ("hook.source=module",), scores=False),
        Scenario("no-scores", ("scoreAdj.enabled=false", "openshift.enabled=true"), scores=False),
        Scenario(
            "kernel",
            ("hook.source=kernel", "settings.hostPriority=700"),
            capabilities=tuple(KERNEL),
            proof=False,
            scores=False,
        ),
        Scenario(
            "kernel-proof", ("hook.source=kernel", "proof.enabled=true"), capabilities=tuple(KERNEL), scores=False
        ),
        Scenario(
            "none",
            ("hook.source=none", "prometheusRule.enabled=true"),
            capabilities=tuple(KERNEL),
            proof=False,
            scores=False,
        ),
        Scenario("kill-scope", ("killScope.enabled=true",), kill_scope=True),
        Scenario(
            "kill-scope-alone",
            ("killScope.enabled=true", "hook.source=module", "openshift.enabled=true", "networkPolicy.enabled=true"),
            scores=False,
            kill_scope=True,
        ),
        Scenario("kernel-log", ("kernelLog.enabled=true",), kernel_log=True),
        Scenario(
            "kernel-log-alone",
            ("kernelLog.enabled=true", "hook.source=none", "openshift.enabled=true"),
            capabilities=tuple(KERNEL),
            proof=False,
            scores=False,
            kernel_log=True,
        ),
        Scenario("dkms", ("hook.module.from=host",)),
        Scenario("prebuilt", ("hook.module.from=image", "hook.module.path=/modules/%r.ko")),
        Scenario(
            "private",
            (
                "images.registry=registry.example/platform/",
                "images.pullSecrets={one,two}",
                "images.loader.digest=sha256:" + "0" * 64,
                "images.oompolicy.tag=1.2.3",
            ),
        ),
        Scenario(
            "placed",
            (
                "agent.nodeSelector.pool=big",
                "agent.maxUnavailable=1",
                "agent.podLabels.team=platform",
                "agent.podAnnotations.note=here",
                "operator.tolerations[0].key=control",
                "operator.tolerations[0].operator=Exists",
                "operator.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
                ".nodeSelectorTerms[0].matchExpressions[0].key=disk",
                "operator.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
                ".nodeSelectorTerms[0].matchExpressions[0].operator=Exists",
            ),
        ),
        Scenario(
            "watched", ("podMonitor.enabled=true", "prometheusRule.enabled=true", "grafanaDashboard.enabled=true")
        ),
        Scenario(
            "guarded",
            (
                "podMonitor.enabled=true",
                "networkPolicy.enabled=true",
                "networkPolicy.from[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=monitoring",
            ),
        ),
        Scenario(
            "extended",
            (
                "commonLabels.team=platform",
                "agent.extraEnv[0].name=ONE",
                "agent.extraEnv[0].value=a",
                "agent.extraArgs={--one}",
                "agent.loaderExtraEnv[0].name=TWO",
                "agent.loaderExtraEnv[0].value=b",
                "agent.loaderExtraArgs={--two}",
                "operator.extraEnv[0].name=THREE",
                "operator.extraEnv[0].value=c",
                "operator.extraArgs={--three}",
                "scoreAdj.extraEnv[0].name=FOUR",
                "scoreAdj.extraEnv[0].value=d",
                "scoreAdj.extraArgs={--four}",
                "serviceMonitor.enabled=true",
                "prometheusRule.enabled=true",
                "prometheusRule.disabled={OOMPolicyMapFull}",
                "prometheusRule.alertLabels.team=storage",
                "resourceQuota.enabled=true",
            ),
        ),
        Scenario("openshift", ("openshift.enabled=true",)),
        Scenario("smallest", ("operator.replicas=1", "policy.enabled=false", "uninstall.detach=false")),
    )
}


def pod_templates(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and spec of each pod that the chart creates."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each["spec"]
        elif "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def containers(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return all containers of a pod by name."""
    return {each["name"]: each for each in (*spec.get("initContainers", ()), *spec["containers"])}


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the only object of this kind and name."""
    (found,) = (each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found
