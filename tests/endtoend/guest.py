# SPDX-License-Identifier: Apache-2.0
"""Boot a guest next to this process, and send it orders over a socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.endtoend.wire import Wire
from vmtest.build import ensure_artifacts
from vmtest.errors import HarnessError
from vmtest.image import ensure_image
from vmtest.libraries import PLACE, ensure_libraries
from vmtest.progress import last_lines
from vmtest.vm import run_guest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from vmtest.image import Image
    from vmtest.qemu import Accel
    from vmtest.vm import GuestResult

KERNEL: Final = "trixie"
HOST: Final = "10.0.2.2"
"""The guest's address for this machine's loopback."""

MEMORY_MIB: Final = 512
CPUS: Final = 2
CALL_SECONDS: Final = 300.0
"""The time limit for the guest's call: a boot, and under emulation the unpacking of some thousand files."""

CHECK_SECONDS: Final = 0.5
"""The time between two checks that a guest that has not called yet is still running."""

ORDER_SECONDS: Final = 120.0
"""The time limit of an order. An order takes a second or two, also under emulation. Loading the module takes ten."""

OUTPUT_LINES: Final = 40


class OrderError(Exception):
    """The guest could not carry out the order. The message is the guest's traceback."""


@dataclass(frozen=True)
class Role:
    """The purpose of a guest: the program that carries out the orders, and the files that it needs."""

    program: str
    memory: int
    """MiB"""
    trees: Callable[[Image], Mapping[str, Path]]
    disks: Callable[[Image], Mapping[str, Path]] = lambda _: {}
    forwards: Mapping[int, int] = field(default_factory=dict)


NODE: Final = Role(
    "tests.endtoend.node",
    MEMORY_MIB,
    lambda image: {"build": ensure_artifacts(image), PLACE: ensure_libraries(image)},
)
"""A node with a simulated kubelet and an agent that the test starts."""


class Guest:
    """A booting guest in a thread of its own, which ends with the guest."""

    def __init__(self, folder: Path, deadline: float | None, role: Role = NODE) -> None:
        """Boot. After `deadline` seconds the guest counts as lost."""
        self._role = role
        self.output = folder / "guest.output"
        self._deadline = deadline
        self._failure: HarnessError | None = None
        self._result: GuestResult | None = None
        self._release = ""
        self._wire: Wire | None = None
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, name="guest")
        self._thread.start()

    def wait(self) -> None:
        """Return when the guest is up. HarnessError if it is not up in time."""
        self._connected()

    def order(self, verb: str, seconds: float = ORDER_SECONDS, **words: Any) -> Any:  # noqa: ANN401 (JSON)
        """Send an order and return the answer.

        OrderError, or the HarnessError with the reason for the loss of the guest.
        """
        self.begin(verb, **words)
        return self.answer(seconds)

    def begin(self, verb: str, **words: Any) -> None:  # noqa: ANN401 (JSON)
        """Send an order without waiting for the answer. Only one order can be open at a time."""
        self._connected().send({"do": verb, "with": words})

    def answer(self, seconds: float = ORDER_SECONDS) -> Any:  # noqa: ANN401 (JSON)
        """Return the guest's answer to the open order."""
        try:
            answer = self._connected().receive(seconds)
        except TimeoutError as error:
            # A later answer would belong to this order, so the guest gets no other order.
            self._failure = HarnessError(f"the guest did not answer within {seconds:.0f} s:\n{self.output_tail()}")
            raise self._failure from error
        if answer is None:
            raise self._lost()
        if "failed" in answer:
            raise OrderError(answer["failed"])
        return answer["done"]

    def output_tail(self) -> str:
        """Return the end of the output of the guest's program."""
        return last_lines(self.output, OUTPUT_LINES)

    def ran(self) -> tuple[Accel, str]:
        """Return the accelerator and the kernel of the guest after its end."""
        if self._result is None:
            raise self._failure or HarnessError("the guest has not ended")
        return self._result.accel, self._release

    def end(self) -> None:
        """Close the connection, which makes the guest power off, and wait for that."""
        if self._wire:
            self._wire.close()
        self._server.close()
        self._thread.join()

    def _connected(self) -> Wire:
        """Return the connection. The guest calls when it is up."""
        if self._failure:
            raise self._failure
        if self._wire is None:
            self._server.settimeout(CHECK_SECONDS)
            for _ in range(int(CALL_SECONDS / CHECK_SECONDS)):
                with contextlib.suppress(TimeoutError):
                    self._wire = Wire(self._server.accept()[0])
                    return self._wire
                if not self._thread.is_alive():
                    raise self._lost()
            raise HarnessError(f"the guest did not call within {CALL_SECONDS:.0f} s:\n{self.output_tail()}")
        return self._wire

    def _lost(self) -> HarnessError:
        self._thread.join()
        return self._failure or HarnessError(f"the guest's program ended:\n{self.output_tail()}")

    def _run(self) -> None:
        try:
            image = ensure_image()
            self._release = image.kernel(KERNEL).release
            with self.output.open("wb") as output:
                self._result = run_guest(
                    image,
                    ["python3", "-m", self._role.program, HOST, str(self._server.getsockname()[1])],
                    kernel=KERNEL,
                    memory=self._role.memory,
                    cpus=CPUS,
                    network=True,
                    env={"PYTHONPATH": f"/checkout/operator:/checkout/agent:/checkout:/checkout/{PLACE}"},
                    extra=self._role.trees(image),
                    disks=self._role.disks(image),
                    forwards=self._role.forwards,
                    output=output,
                    deadline=self._deadline,
                )
        except HarnessError as error:
            self._failure = error


@contextlib.contextmanager
def booted(folder: Path, deadline: float | None, role: Role = NODE) -> Iterator[Guest]:
    """Yield a booting guest, and end it after the block."""
    guest = Guest(folder, deadline, role)
    try:
        yield guest
    finally:
        guest.end()
