# SPDX-License-Identifier: Apache-2.0
"""Run the rounds that have not ended, and write the results into docs/campaign.md: `python3 -m campaign`."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from benchmarks import answers
from campaign import page, plan, results, rounds
from vmtest.cache import CHECKOUT, cache_dir, locked
from vmtest.document import replace
from vmtest.errors import HarnessError
from vmtest.image import ensure_image
from vmtest.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from campaign.plan import Round

TOTAL: Final = 10_000
OOMS: Final = 50
"""The OOMs of a round. A round takes one to five minutes under emulation, and an interruption loses no more."""
INTERRUPTED: Final = 130
"""The exit status of a shell for a program that Ctrl-C ended."""
DOCUMENT: Final = CHECKOUT / rounds.PAGE
RESULTS: Final = CHECKOUT / rounds.RESULTS
"""The file of results, which an interruption does not lose. It is in the repository, so that no machine owns it."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    words = argparse.ArgumentParser(prog="python3 -m campaign", description=__doc__)
    words.add_argument("--ooms", type=int, default=TOTAL, metavar="N", help="in all. Default: %(default)s")
    words.add_argument("--backend", choices=sorted({each for _, each in plan.TARGETS}), help="run no other rounds")
    words.add_argument("--round", metavar="NAME", help="run this round alone, and keep no result: trixie/module/swap/1")
    words.add_argument("--page", action="store_true", help="write the page from the results so far, and run no round")
    return words


@contextmanager
def alone(backend: str | None) -> Iterator[None]:
    """Let no other process run rounds of this backend, or of any backend without one."""
    with ExitStack() as locks:
        for each in sorted({each for _, each in plan.TARGETS if backend in {None, each}}):
            locks.enter_context(locked(cache_dir() / f"campaign-{each}.lock"))
        yield


def write_page(total: int) -> None:
    """Write the results so far into the document, and the answers on top of docs/benchmarks.md."""
    DOCUMENT.write_text(replace(DOCUMENT.read_text(), "campaign", page.render(results.read(RESULTS), total)))
    answers.refresh()


def run(todo: Iterable[Round]) -> bool:
    """Run rounds and keep their results. Return True if every victim was right and every round ended."""
    image = ensure_image()
    right = True
    for one in todo:
        say(f"{one.name}: {one.ooms} OOMs")
        result = rounds.run(image, one)
        results.append(RESULTS, result)
        verdict = result.failure or f"{result.found.kills} victims, {len(result.found.wrong)} wrong"
        say(f"{one.name}: {verdict}, {result.seconds:.0f} s")
        right = right and not result.failure and not result.found.wrong
    return right


def repeat(name: str) -> int:
    """Run one round again, and print what was wrong."""
    try:
        result = rounds.run(ensure_image(), plan.named(name, OOMS))
    except plan.UnknownRoundError as error:
        say(str(error))
        return 2
    print(page.faults([result], [result] if result.failure else []))
    return 1 if result.failure or result.found.wrong else 0


def main() -> int:
    """Return 0 if every victim of this run was right."""
    options = parser().parse_args()
    try:
        if options.round:
            return repeat(options.round)
        if options.page:
            write_page(options.ooms)
            return 0
        with alone(options.backend):
            planned = plan.of_backend(plan.plan(options.ooms, OOMS), options.backend)
            todo = plan.remaining(planned, results.read(RESULTS))
            say(f"{len(todo)} rounds are left")
            try:
                return 0 if run(todo) else 1
            finally:
                write_page(options.ooms)
    except HarnessError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted: the next run begins with the round that has not ended")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
