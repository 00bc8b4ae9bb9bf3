# SPDX-License-Identifier: Apache-2.0
"""Wait for file descriptors and timers in one thread, and call back.

asyncio would make every part of the agent a coroutine, and a loop of 70 lines is enough for callbacks.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack


class Loop:
    """The loop of one thread. A timer has a name, and its soonest requested deadline counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.beat = clock()
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._timers: dict[str, tuple[float, Callable[[], None]]] = {}
        self._stopped = False

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back whenever `fd` is readable."""
        self._readers[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`. Call this before the descriptor is closed."""
        if self._readers.pop(fd, None):
            self._epoll.unregister(fd)

    def after(self, delay: float, name: str, callback: Callable[[], None]) -> None:
        """Call back once in `delay` seconds, or sooner if an earlier request has the same name."""
        deadline = self.clock() + delay
        if name not in self._timers or deadline < self._timers[name][0]:
            self._timers[name] = deadline, callback

    def stop(self) -> None:
        """Make `run` return after the current callback."""
        self._stopped = True

    def run(self) -> None:
        """Run until `stop` is called."""
        while not self._stopped:
            self.step()

    def step(self) -> None:
        """Wait for at least one event, and run all callbacks that are due."""
        for fd, _ in self._epoll.poll(self._timeout()):
            if callback := self._readers.get(fd):
                callback()
        for name, (deadline, callback) in list(self._timers.items()):
            if deadline <= self.clock() and self._timers.get(name) == (deadline, callback):
                del self._timers[name]
                callback()
        self.beat = self.clock()

    def close(self) -> None:
        """Close the epoll instance."""
        self._epoll.close()

    def _timeout(self) -> float | None:
        if not self._timers:
            return None
        soonest = min(deadline for deadline, _ in self._timers.values())
        return max(0.0, soonest - self.clock())


def stop_on_signals(loop: Loop, stack: ExitStack) -> None:
    """Stop the loop at SIGTERM and SIGINT, until `stack` is closed."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    stack.callback(os.close, reader)
    stack.callback(os.close, writer)
    stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer))
    for number in (signal.SIGTERM, signal.SIGINT):
        # The handler has nothing to do: the byte in the pipe wakes the loop.
        stack.callback(signal.signal, number, signal.signal(number, lambda *_: None))
    loop.watch(reader, loop.stop)
