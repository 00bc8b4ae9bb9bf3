# SPDX-License-Identifier: Apache-2.0
"""The command `oompolicy-loader`. Exit status: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from oompolicy.logs import start_logging
from oompolicy_agent.loader.attach import attach
from oompolicy_agent.loader.build import build
from oompolicy_agent.loader.detach import detach
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.options import parse
from oompolicy_agent.loader.status import status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oompolicy_agent.loader.options import Options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb."""
    options = parse(arguments)
    start_logging()
    try:
        _run(options)
    except LoaderError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename or options.verb}: {error.strerror}")
    return 0


def _run(options: Options) -> None:
    if options.verb == "attach":
        _print(attach(options).to_json())
    elif options.verb == "build":
        build(options)
    elif options.verb == "detach":
        detach(options)
    else:
        _print(status(options))


def _print(record: object) -> None:
    print(json.dumps(record, indent=2))


def _failed(sentence: str) -> int:
    print(f"oompolicy-loader: {sentence}", file=sys.stderr)
    return 1
