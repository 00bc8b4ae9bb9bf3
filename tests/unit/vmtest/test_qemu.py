# SPDX-License-Identifier: Apache-2.0
"""QEMU gets the command line of the machine."""

from pathlib import Path

import pytest

from vmtest import qemu
from vmtest.architecture import AMD64
from vmtest.errors import QemuError

FILES = qemu.Files(
    vmlinuz=Path("/v"),
    initrd=Path("/i"),
    root=Path("/r,oot"),
    work=Path("/w"),
    console=Path("/c"),
    ports={"output": Path("/dev/fd/7"), "status": Path("/s")},
)


def test_emulation_leaves_out_slow_features_and_kvm_has_the_hosts() -> None:
    assert ["-accel", "tcg", "-cpu", AMD64.emulated, "-smp", "2", "-m", "1024"] == qemu.processor(qemu.Machine("tcg"))
    assert ["-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", "512"] == qemu.processor(qemu.Machine("kvm", 512, 1))


def test_memory_is_divided_among_numa_nodes() -> None:
    assert [] == qemu.numa(qemu.Machine("tcg"))
    words = qemu.numa(qemu.Machine("tcg", nodes=2))
    assert ["memory-backend-ram,id=node0,size=512M", "memory-backend-ram,id=node1,size=512M"] == words[1::4]
    assert ["node,nodeid=0,memdev=node0,cpus=0-1", "node,nodeid=1,memdev=node1"] == words[3::4]


def test_the_users_kernel_parameters_follow_our_own_and_override_them() -> None:
    words = qemu.direct_kernel(qemu.Machine("tcg", append=" loglevel=7  sysctl.vm.panic_on_oom=1 "), FILES)[-1].split()

    assert ["loglevel=7", "sysctl.vm.panic_on_oom=1"] == words[-2:]
    assert {"console=ttyS0", "panic=-1", "oops=panic"} <= set(words)


def test_the_root_disk_is_never_written() -> None:
    words = qemu.command_line(qemu.Machine("tcg"), FILES)

    assert "if=none,id=root,format=raw,file=/r,,oot,snapshot=on,cache=unsafe" in words
    assert "if=none,id=work,format=raw,file=/w,readonly=on" in words
    assert "-no-reboot" in words


def test_every_port_is_named() -> None:
    words = qemu.ports(FILES.ports)

    assert "virtserialport,chardev=output,name=oompolicy.output" in words
    assert "file,id=output,path=/dev/fd/7" in words


def test_a_network_exists_only_on_request() -> None:
    def devices(machine: qemu.Machine) -> list[str]:
        return [word for word in qemu.command_line(machine, FILES) if word.startswith(("user", "virtio-net"))]

    assert [] == devices(qemu.Machine("tcg"))
    wanted = ["user,id=network,ipv6=off", "virtio-net-pci,netdev=network"]
    assert wanted == devices(qemu.Machine("tcg", network=True))


def test_a_version_is_read_with_or_without_debians_addition() -> None:
    assert qemu.parse_version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\n") == (10, 0)
    assert qemu.parse_version("QEMU emulator version 7.2.19\n") < qemu.OLDEST_QEMU


def test_another_program_than_qemu_is_an_error() -> None:
    with pytest.raises(QemuError, match="says 'hello'"):
        qemu.parse_version("hello")


def test_forwarded_ports_and_additional_disks_are_those_of_the_machine() -> None:
    machine = qemu.Machine("tcg", network=True, forwards={21000: 8132}, disks={"node": Path("/n")})
    words = qemu.command_line(machine, FILES)

    assert "user,id=network,ipv6=off,hostfwd=tcp:127.0.0.1:21000-:8132" in words
    assert "if=none,id=node,format=raw,file=/n,snapshot=on,cache=unsafe" in words
