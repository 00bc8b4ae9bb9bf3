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
    """Each field is the flag of its name; those without a flag are seconds, and for tests to change."""

    namespace: str
    identity: str
    kubeconfig: Path | None = None
    listen: tuple[str, int] = DEFAULT_LISTEN

    lease_duration: float = 15.0  # what client-go's controllers have; a killed operator is missed for so long
    renew_deadline: float = 10.0  # ends well before the lease does, so that two never lead
    renew_every: float = 2.0
    standby_every: float = 1.0  # a released lease is taken within this; one GET of a small object each time

    turn_gap: float = 0.25  # changes within it are reconciled together: 800 pod events/s are 4 turns, not 800
    idle_turn: float = 10.0  # without any change the loop turns as often, which is what /livez looks at
    condition_gap: float = 5.0  # a status goes to every node's agent: a condition that flaps must not flood them
    count_settle: float = 2.0  # nodes apply a policy one after the other; the first count would be stale at once
    count_gap: float = 60.0  # counts always move in a busy cluster
    policy_check: float = 300.0  # a deletion that kopf's watch missed is found no later; one list of some hundred
    retry_max: float = 30.0  # between tries of a write that fails; they begin at half a second
    writes_per_turn: int = 200  # 5,000 OOMNodes are created in pieces, and pods are counted in between


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """From the command line; exits with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="oompolicy-operator",
        description="Check OOMPolicies, say which pods they match and which nodes apply them.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: this pod's service account")
    parser.add_argument("--namespace", metavar="NAME", help="where the Lease is; default $POD_NAMESPACE")
    parser.add_argument(
        "--listen", type=_address, metavar="HOST:PORT", help="serve /livez, /readyz and /metrics; default :8080"
    )
    parser.add_argument("--identity", metavar="NAME", help="who holds the Lease; default: host name and a random part")
    given = {
        "namespace": os.environ.get("POD_NAMESPACE", ""),
        # Never the host name alone: a second operator on the same host would take itself for the first.
        "identity": f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}",
        **vars(parser.parse_args(arguments)),
    }
    if not given["namespace"]:
        parser.error("--namespace or $POD_NAMESPACE is required")
    return Settings(**given)


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
