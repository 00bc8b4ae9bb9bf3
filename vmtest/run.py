# SPDX-License-Identifier: Apache-2.0
"""Run a command in a guest: `python3 -m vmtest.run [options] -- CMD...`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vmtest import kernels
from vmtest.build import ensure_artifacts
from vmtest.errors import HarnessError, LostVMError
from vmtest.progress import say
from vmtest.vm import GuestResult, run_guest

# Neither is an exit status of the command. env, timeout and docker use 125 for their own failures as well.
HARNESS_FAILED = 125
GUEST_LOST = 124


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    words = argparse.ArgumentParser(prog="python3 -m vmtest.run", description="Run a command in a fresh guest.")
    words.add_argument("--kernel", choices=kernels.names(), default="trixie", help="default: %(default)s")
    words.add_argument("--memory", type=int, default=1024, metavar="MIB", help="default: %(default)s; no swap")
    words.add_argument("--cpus", type=int, default=2, help="default: %(default)s")
    words.add_argument("--nodes", type=int, default=1, help="NUMA nodes, default: %(default)s")
    words.add_argument("--accel", choices=["auto", "kvm", "tcg"], default="auto", help="default: $OOMPOLICY_ACCEL")
    words.add_argument(
        "--artifacts", type=Path, metavar="DIR", help="the folder for the files that the command leaves in /artifacts"
    )
    words.add_argument("--append", default="", metavar="WORDS", help="for the kernel, e.g. sysctl.vm.panic_on_oom=1")
    words.add_argument("--network", action="store_true", help="the guest reaches the host's 127.0.0.1 as 10.0.2.2")
    words.add_argument("--deadline", type=float, metavar="SECONDS", help="after this time the guest counts as lost")
    words.add_argument("--console", action="store_true", help="show the console in any case")
    words.add_argument("--no-build", action="store_true", help="hand over the checkout without build/")
    words.add_argument("command", nargs="+", metavar="CMD", help="runs as root in /checkout")
    return words


def run(arguments: argparse.Namespace) -> GuestResult:
    """Build missing parts, and run."""
    image = kernels.image_for(arguments.kernel)
    extra = {} if arguments.no_build else {"build": ensure_artifacts(image)}
    return run_guest(
        image,
        arguments.command,
        kernel=arguments.kernel,
        memory=arguments.memory,
        cpus=arguments.cpus,
        nodes=arguments.nodes,
        wanted_accel=arguments.accel,
        append=arguments.append,
        network=arguments.network,
        extra=extra,
        artifacts=arguments.artifacts,
        deadline=arguments.deadline,
    )


def main() -> int:
    """Return the command's exit status."""
    arguments = parser().parse_args()
    try:
        result = run(arguments)
    except LostVMError as error:
        say(str(error))
        return GUEST_LOST
    except HarnessError as error:
        say(str(error))
        return HARNESS_FAILED
    if result.status:
        say(f"the command ended with status {result.status}; the kernel's log ends with:\n{result.kernel_log}")
    if arguments.console:
        say(f"the console:\n{result.console}")
    say(f"{arguments.kernel} with {result.accel}: {result.seconds:.1f} s")
    return result.status


if __name__ == "__main__":
    sys.exit(main())
