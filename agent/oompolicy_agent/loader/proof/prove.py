# SPDX-License-Identifier: Apache-2.0
"""Makes a proof, unless the node has one for this boot, object, hook and kernel, or makes none."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.attachment import panics
from oompolicy_agent.kernel.maps import PriorityMap
from oompolicy_agent.kernel.proof import Proof, ProofReason
from oompolicy_agent.loader import bpftool, module
from oompolicy_agent.loader.proof import namespace, scene
from oompolicy_agent.loader.proof.verdict import BIG, SMALL, Observed, Verdict, judge
from oompolicy_agent.loader.wait import until

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.loader.node import Node
    from oompolicy_agent.loader.settings import Settings

log = logging.getLogger(__name__)

_ENABLED: Final = "cgroup.subtree_control"


def prove(settings: Settings, node: Node, obj: str, replaced: frozenset[int], earlier: Proof | None) -> Proof:
    """Return the proof for the attached object with this hash: the earlier one if it is still good, or a new one.

    `replaced` are the programs of the version before, which may still be attached for a moment. Only a result that
    shows that the node enforces is remembered. After any other result the next loader makes a new proof.
    """
    result = Proof(
        reason=ProofReason.NOT_POSSIBLE,
        message="",
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        boot=node.boot_id,
        object=obj,
        hook=node.hook,
        kernel=node.kernel_version,
    )
    if earlier and earlier.reason is ProofReason.PROVED and earlier.holds_for(result):
        log.info("this node has proved at %s that it enforces", earlier.time)
        return earlier
    verdict = _verdict(settings, replaced)
    log.log(logging.INFO if verdict.reason is ProofReason.PROVED else logging.WARNING, "%s", verdict.message)
    return replace(result, reason=verdict.reason, message=verdict.message)


def _verdict(settings: Settings, replaced: frozenset[int]) -> Verdict:
    try:
        scene.remove(settings.cgroup_root / scene.NAME)
        if not settings.proof:
            return Verdict(ProofReason.TURNED_OFF, "the loader makes no proof, because it runs with --no-proof")
        if obstacle := _obstacle(settings.cgroup_root, replaced):
            return Verdict(ProofReason.NOT_POSSIBLE, f"the loader could not make an OOM of its own: {obstacle}")
        if settings.cgroup_namespace:
            namespace.enter(settings.cgroup_namespace)
        return _make(settings)
    except OSError as error:
        sentence = f"{error.filename or settings.cgroup_root}: {error.strerror}"
        return Verdict(ProofReason.NOT_POSSIBLE, f"the loader could not make an OOM of its own: {sentence}")


def _make(settings: Settings) -> Verdict:
    found = list[Observed]()
    try:
        with PriorityMap(settings.bpffs / "maps/cgroup_priority") as priorities:
            for lowest in (SMALL, BIG):
                with scene.scope(settings.cgroup_root) as folder:
                    found.append(scene.observe(folder, priorities, lowest))
                if judge(found).reason is not ProofReason.PROVED:
                    break
    except OSError:
        # A cgroup that cannot be removed must not hide that the kernel killed the wrong process.
        if not found or judge(found).reason is ProofReason.PROVED:
            raise
    return judge(found)


def _obstacle(cgroup_root: Path, replaced: frozenset[int]) -> str | None:
    if panics():
        return "vm.panic_on_oom is 2, and the kernel would panic; set it to 0 and start the loader again"
    if "memory" not in (cgroup_root / _ENABLED).read_text(encoding="ascii").split():
        return f"the memory controller is not enabled in {cgroup_root / _ENABLED}"
    if not until(lambda: not any(map(bpftool.has_program, replaced)), module.PATIENCE):
        return "programs of the version before are still attached"
    return None
