# SPDX-License-Identifier: Apache-2.0
"""Run one round in a guest of its own."""

from __future__ import annotations

import datetime
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from campaign.results import Found, Result, found_from
from vmtest.build import ensure_artifacts
from vmtest.cache import CHECKOUT
from vmtest.errors import LostVMError
from vmtest.vm import run_guest

if TYPE_CHECKING:
    from campaign.plan import Round
    from vmtest.image import Image

DEADLINE_PER_OOM: Final = 30.0
"""Seconds: several times the duration under emulation on a busy machine. A scan that never ends is a bug to find."""
DEADLINE_OF_BOOT: Final = 600.0
"""Seconds for boot and attach."""
PAGE: Final = "docs/campaign.md"
RESULTS: Final = "campaign/results.jsonl"
"""Both are places in the checkout."""


class FailedRoundError(Exception):
    """The guest's program failed before the end of its round."""


def commit() -> str:
    """Return the commit of the checkout, and a word if anything but documents and results was changed after it."""
    changed = _git("status", "--porcelain", "--", ".", ":!docs", f":!{RESULTS}")
    return _git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", CHECKOUT, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run(image: Image, one: Round) -> Result:
    """Boot a guest, and return the result of the round in it.

    A guest that is lost is a result with a failure. HarnessError if nothing could be run.
    """
    started = time.monotonic()
    found, failure = Found("", 0), ""
    tested = commit()
    with tempfile.TemporaryDirectory(prefix="oompolicy-campaign-") as folder:
        try:
            found = _found(image, one, Path(folder))
        except (LostVMError, FailedRoundError) as error:
            failure = str(error)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Result(one, tested, date, round(time.monotonic() - started, 1), found, failure)


def _found(image: Image, one: Round, folder: Path) -> Found:
    words = [one.backend, one.variant, str(one.seed), str(one.ooms)]
    result = run_guest(
        image,
        ["python3", "-m", "campaign.guest", *words],
        kernel=one.kernel,
        extra={"build": ensure_artifacts(image)},
        artifacts=folder,
        deadline=DEADLINE_OF_BOOT + DEADLINE_PER_OOM * one.ooms,
    )
    if result.status:
        raise FailedRoundError(f"the guest's program ended with status {result.status}:\n{result.kernel_log}")
    return found_from(json.loads((folder / "round.json").read_text()))
