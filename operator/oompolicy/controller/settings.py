# SPDX-License-Identifier: Apache-2.0
"""The operator's settings, and the command line that sets them."""

from __future__ import annotations

import argparse
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_LISTEN: Final = ("", 8080)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings. A field with a flag has the flag's name. The others exist for tests, in seconds unless noted."""

    namespace: str
    identity: str
    kubeconfig: Path | None = None
    listen: tuple[str, int] = DEFAULT_LISTEN

    silent_after: float = 600.0  # without a heartbeat of an agent, which sends one at least every 300 s

    lease_duration: float = 15.0  # as in client-go's controllers. After a kill, no operator is active for this time
    renew_deadline: float = 10.0  # well below the duration of the Lease, so that two never lead
    renew_every: float = 2.0
    standby_every: float = 1.0  # a released Lease is taken within this time. Each try is a GET of a small object

    turn_gap: float = 0.25  # changes within this time are reconciled together: 800 pod events/s are 4 turns, not 800
    idle_turn: float = 10.0  # the loop turns at least this often, and /livez checks that
    condition_gap: float = 5.0  # a status is sent to every node's agent, so a condition that flaps must not flood them
    count_settle: float = 2.0  # nodes apply a policy one after the other, so the first count would be stale at once
    count_gap: float = 60.0  # in a busy cluster, counts change all the time. Shorter after a new generation (`Pace`)
    mode_settle: float = 30.0  # a node applies a new mode within a second, and reports it a second later
    policy_check: float = 300.0  # finds a deletion that kopf's watch missed, by one list of some hundred policies
    retry_max: float = 30.0  # between tries of a failed write. The first delay is half a second
    writes_per_turn: int = 200  # a number: 5,000 OOMNodes are created in parts, and pods are counted in between


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Return the settings of a command line. A wrong command line exits with status 2."""
    parser = argparse.ArgumentParser(
        prog="oompolicy-operator",
        description="Check OOMPolicies, and report which pods they match and which nodes apply them.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: this pod's service account")
    parser.add_argument("--namespace", metavar="NAME", help="namespace of the Lease; default $POD_NAMESPACE")
    parser.add_argument(
        "--listen", type=_address, metavar="HOST:PORT", help="serve /livez, /readyz and /metrics; default :8080"
    )
    parser.add_argument("--identity", metavar="NAME", help="holder of the Lease; default: host name and a random part")
    parser.add_argument(
        "--silent-after",
        type=_seconds,
        metavar="SECONDS",
        help="time without a heartbeat until an agent is silent; default 600. Agents send one within 300 s",
    )
    given = {
        "namespace": os.environ.get("POD_NAMESPACE", ""),
        # The host name alone is not enough: a second operator on the same host would seem to be the first.
        "identity": f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}",
        **vars(parser.parse_args(arguments)),
    }
    if not given["namespace"]:
        parser.error("--namespace or $POD_NAMESPACE is required")
    return Settings(**given)


def _seconds(text: str) -> float:
    # `float` also accepts "nan" and "inf", which are no times.
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds above 0")
    return float(text)


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
