# SPDX-License-Identifier: Apache-2.0
"""Obstacles for the policy or for the loader: each one is reported by its name."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from oompolicy_agent.kernel.attachment import read_attachment
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.loader import generation, objectfile
from oompolicy_agent.objects.checkpoint import boot_id
from oompolicy_agent.victims.record import record_of
from oompolicy_agent.victims.spool import Spool
from tests.node import policy as attached
from tests.node.policy import BPFFS, BUILD, MODULE, STOCK, Policy, flags
from tests.node.running_agent import SETPRIV, UID
from tests.node.test_capabilities import LISTS, loader
from tests.node.test_loader import REPORT, modules, report, small_and_big

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node

RUN: Final = REPORT.parent
LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")

TAKE_OVER: Final = """
import ctypes, os, pathlib, sys
run, maps = map(pathlib.Path, sys.argv[1:])
for name in ("loader.json", ".loader.json.tmp", "loader.lock"):
    path = run / name
    path.unlink() if path.is_file() else None
    (path / "full" / "of").mkdir(parents=True)
libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
fd = libbpf.bpf_obj_get(os.fsencode(maps / "settings"))
if libbpf.bpf_map_freeze(fd):
    sys.exit(f"not frozen: {os.strerror(ctypes.get_errno())}")
for name in ("cgroup_priority", "events", "settings"):
    (maps / name).chmod(0o777)
run.chmod(0o700)
"""


def current_attachment() -> Any:  # noqa: ANN401 (an Attachment)
    return read_attachment(RUN, BPFFS, boot_id())


def turn_ftrace_off(node: Node) -> bool:
    """Turn ftrace off for this test. Return False if the kernel accepts only the value 1, as 7.3 does."""
    try:
        node.sysctl("kernel.ftrace_enabled", 0)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return False
    return True


def test_without_ftrace_nothing_is_attached(pod: Pod, node: Node, bare: None) -> None:
    """The kernel would call no attached program, so the loader reports that, and the kernel chooses by itself."""
    assert bare is None
    if not turn_ftrace_off(node):
        return
    attached.attach()
    found = report()
    _, big = pod.hog("small", 12), pod.hog("big", 34)

    assert found["attached"] is False
    assert "ObserveOnly" == found["backend"]
    assert "run sysctl kernel.ftrace_enabled=1" in found["message"]
    assert "oompolicy_hook" not in modules()
    assert big is pod.first_victim()


@pytest.mark.built_in
def test_ftrace_that_is_turned_off_later_is_reported(pod: Pod, node: Node, bare: None) -> None:
    """In a kernel with the hook built in, no module keeps ftrace on. With 1 the policy is in force again."""
    assert bare is None
    attached.attach()
    policy = Policy()
    small, _ = small_and_big(pod, policy)
    policy.close()
    if not turn_ftrace_off(node):
        return
    without = current_attachment()
    attached.attach()
    refused = report()
    node.sysctl("kernel.ftrace_enabled", 1)

    assert without.enforcing is False
    assert without.problem is None
    assert "kernel.ftrace_enabled=0" in (without.disabled or "")
    assert refused["attached"] is True
    assert "EvaluateTask" == refused["backend"]
    assert "kernel.ftrace_enabled=0" in refused["message"]
    assert current_attachment().enforcing
    assert small is pod.first_victim()


@pytest.mark.built_in
def test_a_victim_of_the_host_has_its_priority_although_no_oom_was_seen_to_begin(
    pod: Pod, node: Node, bare: None
) -> None:
    """The host's priority is read at the beginning of an OOM, and here there was none yet."""
    assert bare is None
    attached.attach()
    if not turn_ftrace_off(node):
        return
    with closing(Policy()) as policy:
        hog = pod.hog("host", 34)
        assert hog is pod.first_victim()
        record = policy.record_of(hog)

    assert VictimFlag.NO_SCOPE in flags(record)
    assert 1000 == record.priority


@pytest.mark.module
def test_without_the_jit_nothing_is_attached(node: Node, bare: None) -> None:
    """Programs that call functions of the kernel must be compiled. The report names the sysctl, not error 524."""
    assert bare is None
    node.sysctl("net.core.bpf_jit_enable", 0)
    attached.attach()

    assert not report()["attached"]
    assert "run sysctl net.core.bpf_jit_enable=1" in report()["message"]


@pytest.mark.module
def test_a_module_without_btf_is_not_loaded(bare: None, tmp_path: Path) -> None:
    """The kernel would load a module that was built without a vmlinux, but no program could find its hook."""
    assert bare is None
    stripped = tmp_path / "oompolicy_hook.ko"
    subprocess.run(["objcopy", "--remove-section=.BTF", MODULE, stripped], check=True)
    attached.loader("attach", "--module", stripped, "--object-dir", BUILD / "bpf")

    assert "ObserveOnly" == report()["backend"]
    assert report()["attached"] is True
    assert "was not loaded: it was built without BTF" in report()["message"]
    assert "oompolicy_hook" not in modules()


@pytest.mark.module
@pytest.mark.compiles
def test_headers_without_vmlinux_make_a_module_that_enforces(pod: Pod, bare: None, tmp_path: Path) -> None:
    """Most distributions package headers without vmlinux. The types then come from the running kernel."""
    assert bare is None
    packaged = Path(f"/lib/modules/{os.uname().release}/build").resolve()
    headers = packaged.with_name("headers-without-vmlinux")
    headers.mkdir(exist_ok=True)
    for each in packaged.iterdir():
        if each.name != "vmlinux" and not (headers / each.name).exists():
            (headers / each.name).symlink_to(each)
    made = tmp_path / "oompolicy_hook.ko"
    attached.loader("build", "--module", made, "--headers", headers, "--source", "kernel/module")
    attached.loader("attach", "--module", made, "--object-dir", BUILD / "bpf")
    policy = Policy()
    small, _ = small_and_big(pod, policy)
    policy.close()

    assert "EvaluateTask" == report()["backend"]
    assert "Module" == report()["hook"]
    assert "" == report()["message"]
    assert small is pod.first_victim()


@pytest.mark.module
def test_a_module_whose_hook_is_not_found_is_removed(bare: None, tmp_path: Path) -> None:
    """A kernel with CONFIG_MODULE_ALLOW_BTF_MISMATCH can load a module without its BTF. Then there is no hook."""
    assert bare is None
    (tmp_path / "vmlinux").write_bytes(Path("/sys/kernel/btf/vmlinux").read_bytes())
    loader_ = [sys.executable, "-m", "oompolicy_agent.loader", "attach", "--module", MODULE]
    hidden = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /sys/kernel/btf && exec "$@"', tmp_path]
    command = list(map(str, [*hidden, *loader_, "--object-dir", BUILD / "bpf"]))
    subprocess.run(command, check=True, capture_output=True)

    assert "ObserveOnly" == report()["backend"]
    assert report()["attached"] is True
    assert "was loaded, but /sys/kernel/btf/oompolicy_hook shows no hook" in report()["message"]
    assert report()["message"].endswith("it was removed again")
    assert "oompolicy_hook" not in modules()


@pytest.mark.once
def test_an_agent_that_was_taken_over_does_not_stop_the_loader(pod: Pod, bare: None) -> None:
    """With the chart's capabilities the loader attaches and detaches after an attacker changed files, pins and maps."""
    assert bare is None
    capabilities, flags_ = (LISTS[0], ("--module", MODULE)) if STOCK else (LISTS[1], ())
    first = loader(capabilities, "attach", *flags_, "--object-dir", BUILD / "bpf")
    taken = subprocess.run(
        [*SETPRIV, sys.executable, "-c", TAKE_OVER, RUN, BPFFS / "maps"], capture_output=True, text=True, check=False
    )
    assert 0 == first.returncode, first.stderr
    assert 0 == taken.returncode, taken.stderr
    assert "" == taken.stderr
    again = loader(capabilities, "attach", *flags_, "--object-dir", BUILD / "bpf")
    assert 0 == again.returncode, again.stderr
    found, run, pins = report(), RUN.stat(), {pin.stat().st_mode & 0o777 for pin in (BPFFS / "maps").iterdir()}
    policy = Policy()
    small, _ = small_and_big(pod, policy)
    policy.close()

    assert found["attached"] is True
    assert "EvaluateTask" == found["backend"]
    assert 0o755 == run.st_mode & 0o777
    assert UID == run.st_uid
    assert {0o600} == pins
    assert small is pod.first_victim()
    REPORT.unlink()
    REPORT.mkdir()
    done = loader(capabilities, "detach")
    assert 0 == done.returncode, done.stderr
    assert not BPFFS.exists()
    assert not REPORT.exists()


@pytest.mark.once
def test_the_more_complete_record_of_two_versions_is_kept(
    pod: Pod, bare: None, other_objects: Path, tmp_path: Path
) -> None:
    """During an upgrade, and after a loader was killed, two versions report the same victim, the older one first."""
    assert bare is None
    attached.attach()
    newer = objectfile.read(other_objects / "oompolicy.bpf.o")
    generation.build(newer, BPFFS / "maps", BPFFS / "links" / "unfinished_0")
    policy = Policy()
    small, big = small_and_big(pod, policy)
    assert small is pod.first_victim()
    records = [record for record in policy.records() if record.victim_tgid == small.pid]
    policy.close()
    spool = Spool(tmp_path / "spool", boot_id())
    for record in records:
        spool.add(bytes(record))
    (name,) = spool.pending
    kept = spool.read(name)
    assert kept is not None

    assert 2 == len(records)
    best = record_of(kept.raw)
    assert big.pid == best.spared_tgid
    assert max(record.candidates for record in records) == best.candidates
    assert VictimFlag.CHANGED in flags(best)


@pytest.mark.once
@pytest.mark.module
@pytest.mark.ends_the_guest
def test_a_locked_down_kernel_is_reported(pod: Pod, bare: None) -> None:
    """Programs that are attached before the lockdown stay in force. Later attaches report the lockdown, and succeed."""
    assert bare is None
    attached.attach()
    policy = Policy()
    small, _ = small_and_big(pod, policy)
    policy.close()
    if not LOCKDOWN.exists():
        subprocess.run(["mount", "-t", "securityfs", "securityfs", "/sys/kernel/security"], check=True)
    LOCKDOWN.write_text("confidentiality")
    attached.attach()
    before = report()
    assert small is pod.first_victim()
    attached.detach()
    attached.attach()
    after = report()

    assert "EvaluateTask" == before["backend"]
    assert before["attached"] is True
    assert "ObserveOnly" == after["backend"]
    assert after["attached"] is False
    assert "locked down (confidentiality)" in before["message"]
    assert "locked down (confidentiality)" in after["message"]
    assert "oompolicy_hook" not in modules()
