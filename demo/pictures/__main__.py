# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures into docs/pictures. `--record` first asks the tests' API server for the answers about a pod."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from demo.pictures.replay import Recorder
from demo.pictures.scene import EXPLAIN, NAMESPACE, POD, pictures
from oompolicy.cli.cluster import Cluster
from oompolicy.cli.explain import explained
from oompolicy.kube.connection import connect
from oompolicy.order.facts import plain
from tests.cluster import cliscene
from tests.cluster.api import Api
from tests.cluster.binaries import ensure_binaries
from tests.cluster.cluster import running_cluster
from vmtest.cache import CHECKOUT
from vmtest.errors import HarnessError

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection

FOLDER: Final = CHECKOUT / "docs/pictures"


def record() -> None:
    """Make the objects of docs/cli.md, and keep the answers that `explain` gets about them."""
    with tempfile.TemporaryDirectory() as name, running_cluster(ensure_binaries(), Path(name)) as cluster:
        connection = connect(cluster.admin)
        api = Api(connection)
        cliscene.build(api)
        cliscene.kill(api, minutes=12)
        cliscene.settings(api, "Enforce")
        recorder = Recorder(connection)
        facts = cliscene.facts()
        explained(Cluster(cast("Connection", recorder), NAMESPACE), NAMESPACE, POD, lambda _: facts)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    kept = {"time": now, "answers": recorder.answers, "facts": plain(facts)}
    EXPLAIN.write_text(json.dumps(kept, indent=1) + "\n")


def main() -> int:
    """Return 0, or 1 if the API server cannot be started."""
    words = argparse.ArgumentParser(prog="python -m demo.pictures", description=__doc__)
    words.add_argument("--record", action="store_true", help="first ask an API server again")
    if words.parse_args().record:
        try:
            record()
        except HarnessError as error:
            print(f"pictures: {error}", file=sys.stderr)
            return 1
    for name, svg in pictures().items():
        (FOLDER / f"{name}.svg").write_text(svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
