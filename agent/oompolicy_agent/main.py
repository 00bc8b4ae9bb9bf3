# SPDX-License-Identifier: Apache-2.0
"""Starts the agent, and ends it on a signal."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from oompolicy_agent import btf, settings, status
from oompolicy_agent.agent import Agent
from oompolicy_agent.bpf import libbpf
from oompolicy_agent.checkpoint import boot_id
from oompolicy_agent.loop import Loop
from oompolicy_agent.outside import Folder
from oompolicy_agent.problems import Problems
from oompolicy_agent.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oompolicy.health import Page
    from oompolicy_agent.outside import Outside
    from oompolicy_agent.settings import Settings

_OBJECT: Final = Path(__file__).with_name("bpf") / "oompolicy.bpf.o"
_STUCK: Final = 120.0
"""Seconds without a turn of the loop, which has one every 30 s at least, after which the agent is not alive."""

log = logging.getLogger(__name__)


class StartError(Exception):
    """The agent cannot start; the message is a sentence for the node's owner."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 after a signal, 1 where it cannot start, 2 for a wrong command line."""
    chosen = settings.parse(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname).1s %(message)s")
    try:
        with ExitStack() as stack:
            stack.enter_context(_locked(chosen.state_dir))
            _check_layout()
            run(chosen, stack)
    except StartError as error:
        log.error("%s", error)  # noqa: TRY400 (no traceback: the sentence says it all)
        return 1
    return 0


def run(chosen: Settings, stack: ExitStack) -> None:
    """Until SIGTERM or SIGINT."""
    loop, problems, tally = Loop(), Problems(), Tally()
    stack.callback(loop.close)
    try:
        libbpf()
        outside = _outside(chosen, problems, tally)
        agent = Agent(chosen, loop, boot_id(), outside, problems=problems, tally=tally)
    except (OSError, ValueError) as error:
        raise StartError(f"cannot start: {error}") from error
    _stop_on_signals(loop, stack)
    agent.start()
    if chosen.listen:
        _serve(chosen.listen, agent, loop, stack)
    gc.collect()
    gc.freeze()  # what is there now stays: later collections need not touch its pages
    log.info("running on node %s", chosen.node)
    try:
        loop.run()
    finally:
        agent.stop()
    log.info("ended by a signal")


def _outside(chosen: Settings, problems: Problems, tally: Tally) -> Outside:
    if chosen.manifests:
        return Folder(chosen.manifests, chosen, problems)
    from oompolicy_agent.api.outside import Api  # noqa: PLC0415 (the HTTP client costs memory)

    return Api(chosen, problems, tally)


def _locked(state_dir: Path) -> IO[bytes]:
    """One agent per node: two readers of a ring buffer take records from each other."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (state_dir / "lock").open("ab")
    except OSError as error:
        raise StartError(f"the state directory cannot be used: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StartError(f"another agent runs on this node: it holds {state_dir / 'lock'}") from error
    return file


def _check_layout() -> None:
    """Where the BPF object is installed beside this package, its records are the ones we read."""
    if _OBJECT.exists() and (mismatch := btf.check_object(_OBJECT)):
        raise StartError(mismatch)


def _stop_on_signals(loop: Loop, stack: ExitStack) -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    stack.callback(os.close, reader)
    stack.callback(os.close, writer)
    stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer))
    for number in (signal.SIGTERM, signal.SIGINT):
        # The handler has nothing to do: the byte in the pipe wakes the loop.
        stack.callback(signal.signal, number, signal.signal(number, lambda *_: None))
    loop.watch(reader, loop.stop)


def _serve(address: tuple[str, int], agent: Agent, loop: Loop, stack: ExitStack) -> None:
    from oompolicy.health import probe, serve  # noqa: PLC0415 (not paid for without --listen)

    def stuck() -> tuple[str, ...]:
        idle = loop.clock() - loop.beat
        still = (f"the loop has not turned for {idle:.0f} s",) if idle > _STUCK else ()
        return (*still, *agent.dead())

    ready = probe(lambda: status.reasons(agent.problems.current))
    try:
        server = serve(address, {"/readyz": ready, "/livez": probe(stuck), **_metrics(agent)})
    except OSError as error:
        raise StartError(f"cannot listen on {address[0]}:{address[1]}: {error}") from error
    stack.callback(server.close)


def _metrics(agent: Agent) -> dict[str, Page]:
    from oompolicy.health import Answer, rationed  # noqa: PLC0415

    try:
        from oompolicy_agent.metrics import CONTENT_TYPE, Metrics  # noqa: PLC0415 (it costs memory too)
    except ModuleNotFoundError as error:
        log.warning("there will be no /metrics: %s", error)
        return {}
    metrics = Metrics(agent.tally, lambda: agent.view, agent.followed)
    return {"/metrics": rationed(lambda: Answer(metrics.text(), content_type=CONTENT_TYPE))}
