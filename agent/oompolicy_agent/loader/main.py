# SPDX-License-Identifier: Apache-2.0
"""The command `oompolicy-loader`. Exit status: 0 done, 1 failed, 2 wrong usage. `preflight` fails for no answer."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from oompolicy.logs import start_logging
from oompolicy_agent.loader.attach import attach
from oompolicy_agent.loader.build import build
from oompolicy_agent.loader.detach import detach
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.preflight.command import preflight
from oompolicy_agent.loader.settings import parse
from oompolicy_agent.loader.status import status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oompolicy_agent.loader.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    settings = parse(arguments)
    start_logging()
    try:
        _run(settings)
    except LoaderError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename or settings.verb}: {error.strerror}")
    return 0


def _run(settings: Settings) -> None:
    if settings.verb == "attach":
        _print(attach(settings).to_json())
    elif settings.verb == "build":
        build(settings)
    elif settings.verb == "detach":
        detach(settings)
    elif settings.verb == "preflight":
        print(preflight(settings))
    else:
        _print(status(settings))


def _print(record: object) -> None:
    print(json.dumps(record, indent=2))


def _failed(sentence: str) -> int:
    print(f"oompolicy-loader: {sentence}", file=sys.stderr)
    return 1
