# SPDX-License-Identifier: Apache-2.0
"""Attach: inspect_node, decide, put in place, report.

A loader may be killed at any point. Then the old generation enforces, or the new one, and the next attach repairs:
it trusts only a generation that it has checked, and removes what is old after what is new is in place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oompolicy_agent.kernel.attachment import bypasses
from oompolicy_agent.kernel.backend import Backend
from oompolicy_agent.loader import handover, module, objectfile, plan, report
from oompolicy_agent.loader.errors import LoaderError, UnsupportedError
from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.install import install
from oompolicy_agent.loader.lock import exclusive
from oompolicy_agent.loader.node import inspect_node
from oompolicy_agent.loader.pins import Pins

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.loader.node import Node
    from oompolicy_agent.loader.options import Options
    from oompolicy_agent.loader.report import Report


def attach(options: Options) -> Report:
    """The whole verb. LoaderError where it fails although the node could have carried it."""
    options.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with exclusive(options.bpffs):
        node = _look(options)
        try:
            done = _attach(options, node)
        except UnsupportedError as error:
            if "CHOWN" in node.capabilities:
                # The agent is who tells the cluster.
                _give_folders(options)
            done = _without(options, node, str(error))
        except LoaderError as error:
            report.write(options.report, _without(options, node, str(error)))
            raise
        report.write(options.report, done)
        return done


def _attach(options: Options, node: Node) -> Report:
    _require(node, options)
    _give_folders(options)
    refusal = None
    if options.module and node.hook is Hook.NONE:
        # Before the module goes in: an object of another version must leave the node as it was.
        objectfile.read(options.object_dir / plan.FULL)
        refusal = module.insert(options.module)
        node = _look(options)
        if refusal is None and node.hook is Hook.NONE:
            refusal = module.withdraw(options.module)
        _require(node, options)
    decided = plan.decide(node, refusal)
    obj = objectfile.read(options.object_dir / decided.object_name)
    install(obj, Pins(options.bpffs), options)
    warnings = (*_module_warnings(options.module, node), *bypasses())
    return replace(
        _found(node),
        backend=decided.backend,
        object=obj.hash,
        attached=True,
        links=tuple(sorted(obj.programs)),
        message=decided.message,
        warnings=tuple(filter(None, warnings)),
    )


def _give_folders(options: Options) -> None:
    handover.give_folder(options.run_dir, options.uid, options.gid, 0o755)
    handover.give_folder(options.state_dir, options.uid, options.gid, 0o750)


def _look(options: Options) -> Node:
    return inspect_node(options.bpffs, options.cgroup_root)


def _require(node: Node, options: Options) -> None:
    reason = plan.obstacle(node, bpffs=options.bpffs, cgroup_root=options.cgroup_root, agent_uid=options.uid)
    if reason:
        raise UnsupportedError(reason)


def _found(node: Node) -> Report:
    return report.Report(
        backend=Backend.OBSERVE_ONLY,
        hook=node.hook,
        kernel_version=node.kernel_version,
        boot_id=node.boot_id,
    )


def _without(options: Options, node: Node, message: str) -> Report:
    """What holds where this attach put nothing in place: what an earlier one attached, or nothing."""
    earlier = report.parse(report.read(options.report))
    if earlier and earlier.attached and (Pins(options.bpffs).links / earlier.object).exists():
        return replace(earlier, message=message)
    return replace(_found(node), message=message, warnings=bypasses())


def _module_warnings(offered: Path | None, node: Node) -> tuple[str | None, ...]:
    return (module.version_warning(offered),) if offered and node.hook is Hook.MODULE else ()
