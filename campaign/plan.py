# SPDX-License-Identifier: Apache-2.0
"""The rounds of the campaign, in a fixed order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final, Literal

from tests.node.scene import STRICT, VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from campaign.results import Result

Backend = Literal["module", "kernel", "scores"]
"""The way of enforcement: the hook in a module, the hook in the kernel, or oom_score_adj."""

TARGETS: Final[tuple[tuple[str, Backend], ...]] = (
    ("trixie", "module"),
    ("trixie", "scores"),
    ("patched-6.12", "kernel"),
    ("trixie-backports", "module"),
    ("bookworm", "scores"),
)
"""Each kernel of `vmtest` with a way of enforcement on it."""


class UnknownRoundError(ValueError):
    """A name that is no round of the campaign."""


@dataclass(frozen=True)
class Round:
    """One boot of a guest, with `ooms` OOMs of the scenes of a variant that a seed selects."""

    kernel: str
    backend: Backend
    variant: str
    seed: int
    ooms: int

    @property
    def name(self) -> str:
        """The name by which the round can be run again."""
        return f"{self.kernel}/{self.backend}/{self.variant}/{self.seed}"


def variants_of(backend: Backend) -> tuple[str, ...]:
    """Return the variants that a backend can enforce. Scores have no other rule than priority and size."""
    return STRICT if backend == "scores" else tuple(VARIANTS)


def plan(total: int, ooms: int) -> list[Round]:
    """Return rounds of `ooms` OOMs each until there are `total`. Each seed has all targets and variants first."""
    rounds: list[Round] = []
    for each in _endless(ooms):
        if len(rounds) * ooms >= total:
            break
        rounds.append(each)
    return rounds


def _endless(ooms: int) -> Iterator[Round]:
    """Yield rounds. Rounds in a row have different targets and variants, so that a short run has some of all."""
    names = list(VARIANTS)
    cells = [
        (kernel, backend, names[(first + place) % len(names)])
        for first in range(len(names))
        for place, (kernel, backend) in enumerate(TARGETS)
    ]
    for seed in count(1):
        for kernel, backend, variant in cells:
            if variant in variants_of(backend):
                yield Round(kernel, backend, variant, seed, ooms)


def of_backend(rounds: Iterable[Round], backend: str | None) -> list[Round]:
    """Return the rounds of a backend, or all without one."""
    return [each for each in rounds if backend in {None, each.backend}]


def remaining(rounds: Iterable[Round], results: Iterable[Result]) -> list[Round]:
    """Return the rounds that have not ended. A round that failed runs again."""
    ended = {result.round.name for result in results if not result.failure}
    return [each for each in rounds if each.name not in ended]


def named(name: str, ooms: int) -> Round:
    """Return the round with a name. UnknownRoundError if there is none."""
    for kernel, backend in TARGETS:
        for variant in variants_of(backend):
            head, _, seed = name.rpartition("/")
            if head == f"{kernel}/{backend}/{variant}" and seed.isdecimal():
                return Round(kernel, backend, variant, int(seed), ooms)
    heads = ", ".join(f"{kernel}/{backend}" for kernel, backend in TARGETS)
    raise UnknownRoundError(
        f"there is no round {name!r}: name one as KERNEL/BACKEND/VARIANT/SEED, "
        f"with one of {heads}, and one of {', '.join(VARIANTS)} (rules not with scores)"
    )
