# SPDX-License-Identifier: Apache-2.0
"""The loader's code in the process of the tests, for the work before and after a test.

Under emulation a new Python imports the loader's modules for several times as long as the loader works. So only a test
of the loader, its capabilities or its output starts it as a user does.
"""

from __future__ import annotations

from oompolicy_agent.loader.main import main
from tests.node.policy import BUILD, is_attached, with_module


def attach() -> None:
    """Attach without a proof, whose kills would be in the counters and logs that the tests compare."""
    _run("attach", *with_module(), "--object-dir", str(BUILD / "bpf"), "--no-proof")
    # The loader observes if the kernel refuses the program, and then the kernel's own choice could pass a test.
    if not is_attached():
        raise RuntimeError("attach: the policy is not attached, the loader's output has the reason")


def observe() -> None:
    """Attach the object that only observes, as on a node without the hook."""
    _run("attach", "--object-dir", str(BUILD / "bpf"))


def detach() -> None:
    """Detach everything, and remove the module."""
    _run("detach")


def _run(*arguments: str) -> None:
    """Run a verb of the loader, which prints the reason of a failure."""
    if status := main(arguments):
        raise RuntimeError(f"{' '.join(arguments)}: the loader's code ended with {status}, its output has the reason")
