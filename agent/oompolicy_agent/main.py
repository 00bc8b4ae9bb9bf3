# SPDX-License-Identifier: Apache-2.0
"""Start the agent, and end it on a signal."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy.logs import start_logging
from oompolicy_agent import settings
from oompolicy_agent.agent import Agent
from oompolicy_agent.environment import FolderEnvironment
from oompolicy_agent.kernel import btf
from oompolicy_agent.kernel.libbpf import libbpf
from oompolicy_agent.objects.checkpoint import boot_id
from oompolicy_agent.order.page import serve_order
from oompolicy_agent.plumbing.loop import Loop, stop_on_signals
from oompolicy_agent.status import document
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.status.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oompolicy.health import Page
    from oompolicy_agent.environment import Environment
    from oompolicy_agent.settings import Settings

_OBJECT: Final = Path(__file__).with_name("bpf") / "oompolicy.bpf.o"
_STUCK: Final = 120.0
"""Seconds without a turn of the loop after which the agent is not alive. The loop turns at least every 30 s."""

log = logging.getLogger(__name__)


class StartError(Exception):
    """The agent cannot start. The message is a sentence for the node's owner."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return 0 after a signal, 1 if it cannot start, and 2 for a wrong command line."""
    chosen = settings.parse(arguments)
    start_logging(chosen.log_format)
    try:
        with ExitStack() as stack:
            _check_layout()
            run(chosen, stack)
    except StartError as error:
        log.error("%s", error)  # noqa: TRY400 (no traceback: the sentence says it all)
        return 1
    return 0


def run(chosen: Settings, stack: ExitStack) -> None:
    """Run the agent until SIGTERM or SIGINT."""
    loop, problems, counters = Loop(), Problems(), Counters()
    stack.callback(loop.close)
    if chosen.state_dir.is_file():
        raise StartError(f"the state directory cannot be used: {chosen.state_dir} is a file")
    try:
        libbpf()
        outside = _outside(chosen, problems, counters)
        with _closed_on_failure(outside):
            _lock(chosen, stack)
            agent = Agent(chosen, loop, boot_id(), outside, problems=problems, counters=counters)
    except (OSError, ValueError) as error:
        raise StartError(f"cannot start: {error}") from error
    stop_on_signals(loop, stack)
    _serve_order(chosen, agent, stack)  # before the first status, so that `oompolicy order` answers from then on
    agent.start()
    if chosen.listen:
        _serve(chosen.listen, agent, loop, stack)
    gc.collect()
    gc.freeze()  # all objects of now stay, so later collections need not touch their pages
    log.info("running on node %s", chosen.node)
    try:
        loop.run()
    finally:
        agent.stop()
    log.info("ended by a signal")


def _outside(chosen: Settings, problems: Problems, counters: Counters) -> Environment:
    if chosen.manifests:
        return FolderEnvironment(chosen.manifests, chosen, problems)
    from oompolicy_agent.api.environment import ApiEnvironment  # noqa: PLC0415 (the HTTP client costs memory)

    return ApiEnvironment(chosen, problems, counters)


@contextmanager
def _closed_on_failure(outside: Environment) -> Iterator[None]:
    """Close the environment if the agent cannot be created. Later the agent closes it."""
    try:
        yield
    except Exception:
        outside.close()
        raise


def _lock(chosen: Settings, stack: ExitStack) -> None:
    """Allow one agent per node, because two readers of a ring buffer take records from each other.

    The lock is not in the state directory, because that disk may be full. An agent of version 0.1 has it there.
    """
    path = chosen.run_dir / "agent.lock"
    try:
        chosen.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StartError(f"the run directory cannot be used: {error}") from error
    _hold(path, fd, stack)
    earlier = chosen.state_dir / "lock"
    with suppress(OSError):
        fd = os.open(earlier, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        _hold(earlier, fd, stack)


def _hold(path: Path, fd: int, stack: ExitStack) -> None:
    stack.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StartError(f"another agent runs on this node: it holds {path}") from error


def _check_layout() -> None:
    """Raise StartError if the installed BPF object has other record layouts. Do nothing if no object is installed."""
    try:
        mismatch = btf.check_object(_OBJECT) if _OBJECT.exists() else None
    except OSError as error:
        raise StartError(f"cannot start: {error}") from error
    if mismatch:
        raise StartError(mismatch)


def _serve(address: tuple[str, int], agent: Agent, loop: Loop, stack: ExitStack) -> None:
    from oompolicy.health import probe, serve  # noqa: PLC0415 (not paid for without --listen)

    def stuck() -> tuple[str, ...]:
        idle = loop.clock() - loop.beat
        still = (f"the loop has not turned for {idle:.0f} s",) if idle > _STUCK else ()
        return (*still, *agent.dead_threads())

    ready = probe(lambda: document.reasons(agent.problems.current))
    try:
        server = serve(address, {"/readyz": ready, "/livez": probe(stuck), **_metrics(agent)})
    except OSError as error:
        raise StartError(f"cannot listen on {address[0]}:{address[1]}: {error}") from error
    stack.callback(server.close)


def _serve_order(chosen: Settings, agent: Agent, stack: ExitStack) -> None:
    try:
        serve_order(lambda: agent.order_state, chosen.run_dir, stack, loopback=chosen.serve_order)
    except OSError as error:
        # The priorities of the node matter more than the command that shows them.
        log.warning("`oompolicy order` gets no answer from this agent: %s", error)


def _metrics(agent: Agent) -> dict[str, Page]:
    from oompolicy.health import Answer, rationed  # noqa: PLC0415

    try:
        from oompolicy_agent.status.metrics import CONTENT_TYPE, Metrics  # noqa: PLC0415 (it costs memory too)
    except ModuleNotFoundError as error:
        log.warning("there will be no /metrics: %s", error)
        return {}
    metrics = Metrics(agent.counters, lambda: agent.view, agent.followed)
    return {"/metrics": rationed(lambda: Answer(metrics.text(), content_type=CONTENT_TYPE))}
