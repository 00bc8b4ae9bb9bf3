# SPDX-License-Identifier: Apache-2.0
"""The verb `attach`: inspect the node, decide, put in place, report.

A loader may be killed at any point. Then either the old generation enforces or the new one, and the next attach
repairs: it trusts only a generation that it has checked, and removes the old one after the new one is in place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oompolicy_agent.kernel.attachment import bypasses
from oompolicy_agent.kernel.backend import Backend
from oompolicy_agent.loader import generation, handover, module, objectfile, plan, report
from oompolicy_agent.loader.errors import LoaderError, RefusedError, UnsupportedError
from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.install import install
from oompolicy_agent.loader.lock import exclusive
from oompolicy_agent.loader.node import inspect_node
from oompolicy_agent.loader.pinfolder import PinFolder
from oompolicy_agent.loader.proof.prove import prove
from oompolicy_agent.loader.report import LoaderReport

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.loader.node import Node
    from oompolicy_agent.loader.objectfile import BPFObject
    from oompolicy_agent.loader.settings import Settings


def attach(settings: Settings) -> LoaderReport:
    """Attach the object that fits this node, write the report and return it. LoaderError if a step fails.

    A node that cannot be attached to is no failure: the report has the reason. If its kernel takes the module and then
    refuses the program, the node observes, unless an earlier program still decides.
    """
    settings.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with exclusive(settings.bpffs):
        node = _inspect(settings)
        try:
            done = _attach(settings, node)
        except UnsupportedError as error:
            if "CHOWN" in node.capabilities:
                # The agent reports the reason to the cluster, so it has to be able to run here.
                _give_folders(settings)
            done = _unchanged(settings, node, str(error))
        except LoaderError as error:
            report.write(settings.report, _unchanged(settings, node, str(error)))
            raise
        report.write(settings.report, done)
        return done


def _attach(settings: Settings, node: Node) -> LoaderReport:
    _require(node, settings)
    _give_folders(settings)
    refusal = None
    if settings.module and node.hook is Hook.NONE:
        # Read before the module is inserted: an object of another version must leave the node unchanged.
        objectfile.read(settings.object_dir / plan.FULL)
        refusal = module.insert(settings.module)
        node = _inspect(settings)
        if refusal is None and node.hook is Hook.NONE:
            refusal = module.withdraw(settings.module)
        _require(node, settings)
    decided = plan.decide(node, refusal)
    try:
        obj, replaced = _install(settings, decided)
    except RefusedError as error:
        if not settings.module or node.hook is not Hook.MODULE or generation.decides(PinFolder(settings.bpffs)):
            raise
        module.remove()
        node = _inspect(settings)
        decided = plan.decide(node, f"{error}; the hook's module was removed again")
        obj, replaced = _install(settings, decided)
    earlier = report.parse(report.read(settings.report))
    proof = None
    if decided.backend is Backend.EVALUATE_TASK:
        proof = prove(settings, node, obj.hash, replaced, earlier.proof if earlier else None)
        if proof.failed:
            # Without a program that decides, the kernel's own rule applies, and victims are still reported.
            decided = plan.without_proof(proof)
            obj, _ = _install(settings, decided)
    warnings = (_version_warning(settings.module, node), *bypasses())
    return replace(
        _nothing_attached(node),
        backend=decided.backend,
        object=obj.hash,
        attached=True,
        links=tuple(sorted(obj.programs)),
        message=decided.message or "",
        warnings=tuple(filter(None, warnings)),
        proof=proof,
    )


def _install(settings: Settings, decided: plan.Plan) -> tuple[BPFObject, frozenset[int]]:
    obj = objectfile.read(settings.object_dir / decided.object_name)
    return obj, install(obj, PinFolder(settings.bpffs), settings)


def _give_folders(settings: Settings) -> None:
    handover.give_folder(settings.run_dir, settings.uid, settings.gid, 0o755)
    handover.give_folder(settings.state_dir, settings.uid, settings.gid, 0o750)


def _inspect(settings: Settings) -> Node:
    return inspect_node(settings.bpffs, settings.cgroup_root)


def _require(node: Node, settings: Settings) -> None:
    reason = plan.obstacle(node, bpffs=settings.bpffs, cgroup_root=settings.cgroup_root, agent_uid=settings.uid)
    if reason:
        raise UnsupportedError(reason)


def _nothing_attached(node: Node) -> LoaderReport:
    return LoaderReport(
        backend=Backend.OBSERVE_ONLY,
        hook=node.hook,
        kernel_version=node.kernel_version,
        boot_id=node.boot_id,
    )


def _unchanged(settings: Settings, node: Node, message: str) -> LoaderReport:
    """Return the report of an attach that changed nothing: an earlier attachment still holds if its links exist."""
    earlier = report.parse(report.read(settings.report))
    if earlier and earlier.attached and (PinFolder(settings.bpffs).links / earlier.object).exists():
        return replace(earlier, message=message)
    return replace(_nothing_attached(node), message=message, warnings=bypasses())


def _version_warning(offered: Path | None, node: Node) -> str | None:
    return module.version_warning(offered) if offered and node.hook is Hook.MODULE else None
