# SPDX-License-Identifier: Apache-2.0
"""The facts of `preflight`, read from folders that stand for a node's."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.loader.main import main
from oompolicy_agent.loader.preflight.collect import FUNCTIONS, collect, is_redirected, swap_mib
from oompolicy_agent.loader.preflight.facts import Facts, Unknown
from oompolicy_agent.loader.settings import parse
from tests.unit.agent.kernel.test_btf import Blob

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RELEASE = os.uname().release
HOST = "         0          0 4294967295\n"
EFI = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


class Folders:
    """Two roots: the node's, and that of the process. `facts` reads both."""

    def __init__(self, base: Path) -> None:
        self.root, self.own = base / "root", base / "own"
        self.own_file("proc/self/uid_map", HOST)

    def file(self, path: str, content: str | bytes) -> None:
        self._write(self.root / path, content)

    def own_file(self, path: str, content: str | bytes) -> None:
        self._write(self.own / path, content)

    def facts(self, *flags: str) -> Facts:
        self.root.mkdir(exist_ok=True)
        return collect(parse(["preflight", "--root", str(self.root), *flags]), self.own)

    @staticmethod
    def _write(path: Path, content: str | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def node(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_functions_are_found_in_the_kernels_btf(node: Folders) -> None:
    types = Blob()
    for name in FUNCTIONS:
        types.function(name)
    node.own_file("sys/kernel/btf/vmlinux", types.raw())

    assert frozenset(FUNCTIONS) == node.facts().functions
    assert node.facts().node.btf


def test_without_btf_there_are_no_functions(node: Folders) -> None:
    assert frozenset() == node.facts().functions
    assert not node.facts().node.btf


def test_a_loaded_module_with_btf_proves_that_modules_have_it(node: Folders) -> None:
    node.own_file("sys/kernel/btf/ext4", b"")

    assert node.facts().module_btf is True


@pytest.mark.parametrize(
    ("place", "pack"),
    [
        (f"root:boot/config-{RELEASE}", str.encode),
        (f"root:lib/modules/{RELEASE}/config", str.encode),
        ("own:proc/config.gz", lambda text: gzip.compress(text.encode())),
    ],
)
def test_else_the_kernels_configuration_says_it(node: Folders, place: str, pack: Callable[[str], bytes]) -> None:
    write = {"root": node.file, "own": node.own_file}[place.partition(":")[0]]
    write(place.partition(":")[2], pack("CONFIG_DEBUG_INFO_BTF_MODULES=y\n"))
    assert node.facts().module_btf is True
    write(place.partition(":")[2], pack("# CONFIG_DEBUG_INFO_BTF_MODULES is not set\n"))
    assert node.facts().module_btf is False


def test_without_a_configuration_module_btf_is_unknown(node: Folders) -> None:
    assert isinstance(node.facts().module_btf, Unknown)


def test_the_lockdown_of_the_node_is_read_below_its_root(node: Folders) -> None:
    """Without securityfs the mode is unknown. With it, only a kernel without lockdown has no such file."""
    assert isinstance(node.facts().lockdown, Unknown)
    node.file("sys/kernel/security/lsm", "capability")
    assert node.facts().lockdown is None
    node.file("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    assert "integrity" == node.facts().lockdown
    node.file("sys/kernel/security/lockdown", "[none] integrity confidentiality\n")
    assert node.facts().lockdown is None


def test_secure_boot_is_the_last_byte_of_its_variable(node: Folders) -> None:
    """The folder is empty in a container that does not mount it. A machine without EFI has no Secure Boot."""
    assert isinstance(node.facts().secure_boot, Unknown)
    node.file("sys/firmware/memmap/0/start", "0")
    assert node.facts().secure_boot is False
    node.file(EFI, b"\6\0\0\0\1")
    assert node.facts().secure_boot is True
    node.file(EFI, b"\6\0\0\0\0")
    assert node.facts().secure_boot is False


def test_an_efi_machine_without_the_variable_is_unknown(node: Folders) -> None:
    node.file("sys/firmware/efi/systab", "")

    assert isinstance(node.facts().secure_boot, Unknown)


def test_loadpin_refuses_modules_unless_they_are_excluded(node: Folders) -> None:
    assert not node.facts().loadpin
    node.own_file("proc/sys/kernel/loadpin/enforce", "1\n")
    assert node.facts().loadpin
    node.own_file("proc/cmdline", "quiet loadpin.exclude=kernel-module\n")
    assert not node.facts().loadpin


@pytest.mark.parametrize(("text", "found"), [("Y\n", True), ("N\n", False), (None, None)])
def test_enforced_signatures_are_a_parameter_of_the_kernel(node: Folders, text: str | None, found: bool | None) -> None:
    if text:
        node.own_file("sys/module/module/parameters/sig_enforce", text)

    assert found is node.facts().sig_enforce


def test_modules_can_be_disabled(node: Folders) -> None:
    node.own_file("proc/sys/kernel/modules_disabled", "1\n")
    node.own_file("proc/modules", "")

    assert node.facts().modules_disabled
    assert node.facts().takes_modules


def test_a_live_patch_of_the_modules_function_is_found(node: Folders) -> None:
    """Other functions, which most live patches change, do not matter."""
    node.own_file("sys/kernel/livepatch/kpatch_1/vmlinux/tcp_v4_rcv,1/patched", "1")
    assert () == node.facts().live_patches
    node.own_file("sys/kernel/livepatch/kpatch_2/vmlinux/oom_evaluate_task,1/patched", "1")
    assert ("kpatch_2",) == node.facts().live_patches


def test_headers_and_module_are_those_of_the_flags(node: Folders, tmp_path: Path) -> None:
    made = tmp_path / "hook.ko"
    made.write_bytes(b"\x7fELF~Module signature appended~\n")
    node.file("headers/Makefile", "")
    node.file("headers/tools/bpf/resolve_btfids/resolve_btfids", "")
    found = node.facts("--module", str(made), "--headers", str(node.root / "headers"))

    assert found.headers.exists
    assert found.headers.resolver
    assert found.offered is not None
    assert (True, True, False) == (found.offered.exists, found.offered.signed, found.offered.btf)


def test_an_absolute_link_to_the_headers_leads_into_the_nodes_root(node: Folders) -> None:
    """The folder of the same path in the container is another one, or does not exist."""
    node.file("usr/src/linux-headers-1/Makefile", "")
    link = node.root / f"lib/modules/{RELEASE}/build"
    link.parent.mkdir(parents=True)
    link.symlink_to("/usr/src/linux-headers-1")

    assert node.facts().headers.exists
    assert node.root / "usr/src/linux-headers-1" == node.facts().headers.folder


def test_headers_are_by_default_those_of_the_node(node: Folders) -> None:
    assert node.root / f"lib/modules/{RELEASE}/build" == node.facts().headers.folder
    assert not node.facts().headers.exists


def test_a_user_namespace_is_recognized(node: Folders) -> None:
    assert not node.facts().user_namespace
    node.own_file("proc/self/uid_map", "         0       1000          1\n")
    assert node.facts().user_namespace


def test_swap_areas_are_added_up() -> None:
    lines = ["Filename\tType\tSize\tUsed\tPriority", "/swap file 1048572 0 -2", "/dev/vdb partition 1048576 0 -3"]

    assert 2047 == swap_mib(lines)
    assert 0 == swap_mib(lines[:1])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("oom_evaluate_task (1) R I     \ttramp: 0xffffffffc0 (livepatch)", True),
        ("oom_evaluate_task (1) R       \ttramp: 0xffffffffc0", False),
        ("tcp_v4_rcv (1) R I     \ttramp: 0xffffffffc0", False),
        ("", False),
    ],
)
def test_only_a_redirect_of_the_modules_function_counts(text: str, found: bool) -> None:
    assert found is is_redirected(text.splitlines())


def test_the_command_prints_and_ends_with_0_for_every_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty folder as the node's root has no cgroup tree, so this node can do nothing."""
    status = main(["preflight", "--root", str(tmp_path)])
    printed = capsys.readouterr().out

    assert 0 == status
    assert printed.splitlines()[0].startswith("CHECK ")
    assert printed.splitlines()[-1].startswith("nothing, because ")


def test_the_flag_of_the_kernels_log_is_a_fact(node: Folders) -> None:
    assert [False, True] == [node.facts(*flags).kernel_log for flags in ((), ("--kernel-log",))]


@pytest.mark.parametrize(("content", "expected"), [("Y\n", True), ("N\n", False), ("", True)])
def test_the_times_of_the_kernels_log_are_read(node: Folders, content: str, expected: bool) -> None:
    """A kernel without this parameter has times."""
    node.own_file("sys/module/printk/parameters/time", content)
    node.own_file("proc/sys/kernel/unprivileged_bpf_disabled", "2\n")

    assert (expected, "2") == (node.facts().log_times, node.facts().unprivileged_bpf)
