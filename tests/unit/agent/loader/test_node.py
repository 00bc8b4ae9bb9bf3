# SPDX-License-Identifier: Apache-2.0
"""The facts that the loader reads from a node."""

from pathlib import Path

from oompolicy_agent.loader import hook
from oompolicy_agent.loader.node import Cgroup, capabilities, cgroup_kind, filesystem_magic, nearest_existing


def test_effective_capabilities_are_read_by_their_bits() -> None:
    status = f"Name:\tloader\nCapPrm:\t{2**41 - 1:016x}\nCapEff:\t{1 << 21 | 1 << 39 | 1 << 5:016x}\n"

    assert frozenset({"SYS_ADMIN", "BPF"}) == capabilities(status)


def test_a_plain_folder_is_no_cgroup_tree(tmp_path: Path) -> None:
    assert cgroup_kind(tmp_path) is Cgroup.OTHER


def test_a_missing_folder_has_no_magic(tmp_path: Path) -> None:
    assert filesystem_magic(tmp_path / "missing") == 0


def test_the_nearest_existing_folder_has_the_file_system_of_a_future_one(tmp_path: Path) -> None:
    assert tmp_path == nearest_existing(tmp_path / "oompolicy" / "maps")


def test_no_btf_is_no_hook(tmp_path: Path) -> None:
    assert hook.find(tmp_path) is hook.Hook.NONE


def test_btf_without_the_name_is_no_hook(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_bytes(b"\0oom_evaluate_task\0bpf_oom_evaluate_task_id\0")

    assert hook.find(tmp_path) is hook.Hook.NONE
