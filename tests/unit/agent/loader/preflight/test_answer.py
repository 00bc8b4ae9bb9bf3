# SPDX-License-Identifier: Apache-2.0
"""The last line of `preflight`: exact, by scores, observes or nothing, with the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oompolicy_agent.loader.bpftool import Tool
from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.node import Cgroup
from oompolicy_agent.loader.preflight.collect import REDIRECTED, REGISTER
from oompolicy_agent.loader.preflight.facts import Headers, Unknown
from tests.unit.agent.loader.preflight.scene import NO_HEADERS, SIGNED, UNSIGNED, line, row


def test_a_node_that_can_build_and_load_the_module_is_exact() -> None:
    assert "exact, because the hook's module can be built and loaded" == line()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hook": Hook.KERNEL}, "exact, because this kernel has the hook"),
        ({"hook": Hook.MODULE}, "exact, because the hook's module is loaded"),
        ({"offered": UNSIGNED}, "exact, because /m/hook.ko can add the hook"),
    ],
)
def test_with_a_hook_or_a_module_no_headers_are_needed(changes: dict[str, Any], words: str) -> None:
    """The missing headers are a note then, because they rule nothing out."""
    changes = {**changes, "headers": NO_HEADERS, "missing": ("make",)}

    assert words == line(**changes)
    assert "note" == row("headers", **changes)[1]
    assert "note" == row("compiler", **changes)[1]


@pytest.mark.parametrize("hook", [Hook.KERNEL, Hook.MODULE])
def test_a_hook_in_force_is_not_affected_by_what_refuses_modules(hook: Hook) -> None:
    """A module can be loaded before kernel.modules_disabled is set, and a kernel with the hook needs no module."""
    assert line(hook=hook, modules_disabled=True, lockdown="integrity", loadpin=True).startswith("exact, ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"headers": NO_HEADERS}, "there is no /h/Makefile"),
        ({"headers": Headers(NO_HEADERS.folder, exists=True, resolver=False)}, "/h has no resolve_btfids"),
        ({"missing": ("pahole",)}, "not installed: pahole"),
        ({"modules_disabled": True}, "kernel.modules_disabled=1"),
        ({"takes_modules": False}, "CONFIG_MODULES"),
        ({"sig_enforce": True}, "not signed by a key that it trusts"),
        ({"lockdown": "integrity"}, "not signed by a key that it trusts"),
        ({"lockdown": "confidentiality"}, "forbids BPF programs to read the kernel's memory"),
        ({"loadpin": True}, "LoadPin"),
        ({"live_patches": ("kpatch_1",)}, "kpatch_1 changes oom_evaluate_task()"),
        ({"redirected": True}, "another program redirects oom_evaluate_task()"),
        ({"module_btf": False}, "CONFIG_DEBUG_INFO_BTF_MODULES"),
        ({"functions": frozenset({REDIRECTED})}, "it has no register_btf_fmodret_id_set()"),
        ({"offered": replace(UNSIGNED, exists=False)}, "/m/hook.ko does not exist"),
        ({"offered": replace(UNSIGNED, btf=False)}, "/m/hook.ko was built without BTF"),
        ({"functions": frozenset({REGISTER})}, "the compiler inlined oom_evaluate_task()"),
        ({"btf": False}, "no BTF"),
        ({"ftrace": False}, "kernel.ftrace_enabled=1"),
        ({"bpffs": False}, "no BPF file system"),
        ({"bpftool": Tool.MISSING}, "bpftool is not installed"),
        ({"machine": "riscv64"}, "x86_64 and aarch64 only"),
    ],
)
def test_without_the_hook_scores_keep_the_order(changes: dict[str, Any], words: str) -> None:
    """The reason is the first obstacle on the way to the hook."""
    found = line(**changes)

    assert found.startswith("by scores, because ")
    assert words in found


def test_without_an_adjuster_a_node_without_the_hook_observes() -> None:
    found = line(modules_disabled=True, adjuster=False)

    assert found.startswith("observes, because kernel.modules_disabled=1")
    assert found.endswith("; and no adjuster writes scores in this installation")


def test_a_node_without_btf_observes_by_the_kernels_log() -> None:
    """Without an adjuster that writes scores, this is all that it can do."""
    found = line(btf=False, adjuster=False, kernel_log=True)

    assert found.startswith("observes, because this kernel has no BTF")
    assert line(btf=False, adjuster=False, kernel_log=True, log_times=False).startswith("nothing, because ")
    assert line(user_namespace=True, kernel_log=True).startswith("nothing, because ")


def test_an_installation_without_a_module_never_promises_one() -> None:
    """The headers of the node do not matter then. A hook in the kernel does."""
    assert "by scores, because this installation loads no module" == line(load=False)
    assert "by scores, because this installation loads no module" == line(load=False, headers=NO_HEADERS)
    assert "exact, because this kernel has the hook" == line(load=False, hook=Hook.KERNEL)


@pytest.mark.parametrize(
    "changes",
    [
        {"cgroup": Cgroup.HYBRID},
        {"memory_controller": False},
        {"user_namespace": True},
        {"kernel_version": "5.4.0-150-generic"},
        {"btf": False, "adjuster": False},
    ],
)
def test_a_node_that_can_neither_enforce_nor_observe_does_nothing(changes: dict[str, Any]) -> None:
    assert line(**changes).startswith("nothing, because ")


def test_an_unknown_fact_that_could_forbid_the_module_is_named() -> None:
    """The answer stays the best possible one. The table has the reason why the fact is unknown."""
    found = line(lockdown=Unknown("no securityfs"), module_btf=Unknown("no configuration"))

    assert found.startswith("exact, ")
    assert found.endswith("unless one of these forbids it, which are unknown here: module BTF, lockdown")


def test_only_lockdown_matters_to_a_kernel_with_the_hook() -> None:
    """No module is loaded there, so its BTF does not matter."""
    found = line(hook=Hook.KERNEL, lockdown=Unknown("no securityfs"), module_btf=Unknown("no configuration"))

    assert found.endswith("which are unknown here: lockdown")


def test_the_key_of_a_signed_module_shows_only_when_it_is_loaded() -> None:
    assert line(offered=SIGNED, sig_enforce=True).endswith("which are unknown here: module signatures")
    assert "exact, because /m/hook.ko can add the hook" == line(offered=SIGNED)
