# SPDX-License-Identifier: Apache-2.0
"""Try the guest itself on each kernel: `python3 -m vmtest.selftest [--accel auto|kvm|tcg] [--kernel NAME]`."""

from __future__ import annotations

import argparse
import io
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmtest import kernels, packages
from vmtest.errors import HarnessError, LostVMError
from vmtest.progress import say
from vmtest.vm import run_guest

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtest.image import Image

# A boot takes 6 s emulated on an idle machine, and was seen to take 55 s on one with five busy neighbours.
DEADLINE = 300.0


@dataclass
class Output(io.BytesIO):
    """A command's output, with the time when it began."""

    created: float = field(default_factory=time.monotonic)
    first: float | None = None

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Take one piece."""
        if self.first is None:
            self.first = time.monotonic() - self.created
        return super().write(data)


@dataclass(frozen=True)
class Setting:
    """The image, kernel and accelerator of one round of trials."""

    image: Image
    kernel: str
    accel: Literal["auto", "kvm", "tcg"]

    def guest(
        self,
        script: str,
        output: Output,
        *,
        memory: int = 1024,
        append: str = "",
        network: bool = False,
        artifacts: Path | None = None,
    ) -> int:
        """Run a shell script in a fresh guest."""
        return run_guest(
            self.image,
            ["sh", "-c", script],
            kernel=self.kernel,
            wanted_accel=self.accel,
            memory=memory,
            append=append,
            network=network,
            artifacts=artifacts,
            output=output,
            deadline=DEADLINE,
        ).status


def status_and_output_arrive(setting: Setting) -> str:
    """The command's exit status and output arrive, and its kernel is the requested one."""
    output = Output()
    status = setting.guest("uname -r; echo to-stderr >&2; exit 37", output)
    release = kernels.find(setting.image, setting.kernel).release
    assert (status, output.getvalue().decode()) == (37, f"{release}\nto-stderr\n")
    return f"{output.first or 0:.1f} s to the command's first output"


def artifacts_arrive(setting: Setting) -> str:
    """The guest has the checkout, and the files that it leaves in /artifacts arrive on the host."""
    with tempfile.TemporaryDirectory() as name:
        status = setting.guest(
            "mkdir /artifacts/below && cp vmtest/selftest.py /artifacts/below/", Output(), artifacts=Path(name)
        )
        assert status == 0
        assert (Path(name) / "below/selftest.py").read_bytes() == Path(__file__).read_bytes()
    return "the same bytes"


def kernel_words_apply(setting: Setting) -> str:
    """A sysctl on the kernel's command line applies when the command starts."""
    output = Output()
    assert setting.guest("cat /proc/sys/vm/overcommit_ratio", output, append="sysctl.vm.overcommit_ratio=41") == 0
    assert output.getvalue() == b"41\n"
    return "sysctl is set"


def runner_outlives_an_oom(setting: Setting) -> str:
    """A process that takes all memory dies, and the test runner survives."""
    output = Output()
    # tail holds the last line in memory, and /dev/zero has only one.
    hog = 'sh -c "echo 0 > /proc/self/oom_score_adj; exec tail /dev/zero"; echo "hog: $?"'
    assert setting.guest(f"{hog}; dmesg | grep -c 'Out of memory'", output, memory=512) == 0
    assert output.getvalue() == b"Killed\nhog: 137\n1\n"
    return "one kill, and the runner is alive"


def guest_reaches_the_host(setting: Setting) -> str:
    """A guest with a network can connect to a port of the host's loopback."""
    call = "import socket; s = socket.create_connection(('10.0.2.2', {port})); s.sendall(s.recv(99).upper())"
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Otherwise this process would wait forever for a guest that ends without a call.
        server.settimeout(DEADLINE)
        answers: list[bytes] = []

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"hello")
                answers.append(connection.recv(99))

        listener = threading.Thread(target=answer, daemon=True)
        listener.start()
        script = f'python3 -c "{call.format(port=server.getsockname()[1])}"'
        assert setting.guest(script, Output(), network=True) == 0
        listener.join()
    assert answers == [b"HELLO"]
    return "a word there and back"


def no_network_by_default(setting: Setting) -> str:
    """A guest without a network has only the loopback."""
    output = Output()
    assert setting.guest("ls /sys/class/net", output) == 0
    assert output.getvalue() == b"lo\n"
    return "lo alone"


def panic_is_a_lost_guest(setting: Setting) -> str:
    """A panic is no exit status. The error has the end of the console."""
    output = Output()
    console = ""
    try:
        setting.guest("echo before; echo c > /proc/sysrq-trigger", output)
    except LostVMError as lost:
        console = lost.console
    assert output.getvalue() == b"before\n"
    assert "Kernel panic - not syncing: sysrq triggered crash" in console, console
    return "LostVMError with the panic in it"


TRIALS: list[Callable[[Setting], str]] = [
    status_and_output_arrive,
    artifacts_arrive,
    kernel_words_apply,
    runner_outlives_an_oom,
    guest_reaches_the_host,
    no_network_by_default,
    panic_is_a_lost_guest,
]


def main() -> int:
    """Run every trial on every requested kernel."""
    parser = argparse.ArgumentParser(prog="python3 -m vmtest.selftest", description="Try the guest itself.")
    parser.add_argument("--accel", choices=["auto", "kvm", "tcg"], default="auto")
    parser.add_argument("--kernel", choices=kernels.names(), action="append", help="default: the stock ones")
    arguments = parser.parse_args()
    failed = 0
    for kernel in arguments.kernel or packages.KERNELS:
        image = kernels.image_for(kernel)
        for trial in TRIALS:
            started = time.monotonic()
            try:
                result = trial(Setting(image, kernel, arguments.accel))
            except (AssertionError, HarnessError) as error:
                failed += 1
                result = f"FAILED: {error!r}"
            say(f"{kernel}: {trial.__name__.replace('_', ' ')}: {result} ({time.monotonic() - started:.1f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
