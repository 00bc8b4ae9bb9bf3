# SPDX-License-Identifier: Apache-2.0
"""The facts that the loader reads from a node."""

from pathlib import Path

from oompolicy_agent.loader import hook
from oompolicy_agent.loader.node import Cgroup, capabilities, cgroup_kind, filesystem_kind, nearest_existing
from tests.unit.agent.kernel.test_btf import Blob, function, split


def test_effective_capabilities_are_read_by_their_bits() -> None:
    status = f"Name:\tloader\nCapPrm:\t{2**41 - 1:016x}\nCapEff:\t{1 << 21 | 1 << 39 | 1 << 5:016x}\n"

    assert frozenset({"SYS_ADMIN", "BPF"}) == capabilities(status)


def test_a_plain_folder_is_no_cgroup_tree(tmp_path: Path) -> None:
    assert cgroup_kind(tmp_path) is Cgroup.OTHER


def test_a_missing_folder_has_no_magic(tmp_path: Path) -> None:
    assert filesystem_kind(tmp_path / "missing") == 0


def test_the_nearest_existing_folder_has_the_file_system_of_a_future_one(tmp_path: Path) -> None:
    assert tmp_path == nearest_existing(tmp_path / "oompolicy" / "maps")


def test_no_btf_is_no_hook(tmp_path: Path) -> None:
    assert hook.find(tmp_path) is hook.Hook.NONE


def test_btf_without_the_name_is_no_hook(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_bytes(b"\0oom_evaluate_task\0bpf_oom_evaluate_task_id\0")

    assert hook.find(tmp_path) is hook.Hook.NONE


def test_damaged_btf_with_the_name_is_no_hook(tmp_path: Path) -> None:
    """The loader does not fail. It only observes, as on a kernel without a hook."""
    (tmp_path / "vmlinux").write_bytes(b"\x9f\xeb\0bpf_oom_evaluate_task\0")

    assert hook.find(tmp_path) is hook.Hook.NONE


def test_a_function_of_the_name_is_the_kernels_hook(tmp_path: Path) -> None:
    """The kernel's own BTF has the function if the kernel was built with the hook."""
    (tmp_path / "vmlinux").write_bytes(function("bpf_oom_evaluate_task"))

    assert hook.find(tmp_path) is hook.Hook.KERNEL


def test_a_function_of_the_name_in_the_modules_btf_is_the_modules_hook(tmp_path: Path) -> None:
    """The module's BTF continues the kernel's."""
    kernel = Blob()
    kernel.function("oom_evaluate_task")
    module = split(kernel)
    module.function("bpf_oom_evaluate_task")
    (tmp_path / "vmlinux").write_bytes(kernel.raw())
    (tmp_path / "oompolicy_hook").write_bytes(module.raw())

    assert hook.find(tmp_path) is hook.Hook.MODULE
