# SPDX-License-Identifier: Apache-2.0
"""Bring memory.oom.group of pods and containers to what the agent asks for, or back to the original values.

The order of steps is that of `enforcer`: an original value is on disk before it is replaced, and stays there until it
is in force again. Only cgroups of pods and of their containers count. On a slice or on kubepods itself, the file would
let the kernel kill all pods at once, so an entry for such a cgroup has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from oompolicy_agent.adjuster.originals import OriginalsFile
from oompolicy_agent.mapping.cgroups import CgroupDir

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from oompolicy_agent.mapping.cgroups import Tree


class GroupValues(OriginalsFile[bool]):
    """The file killgroups.json with the values of memory.oom.group."""

    unwritten = file_of_kernel = "memory.oom.group"

    def raw(self, original: bool) -> Any:  # noqa: ANN401 (JSON)
        """Return the value as data of JSON."""
        return original

    def value(self, raw: Any) -> bool:  # noqa: ANN401 (JSON)
        """Return the value of a cgroup."""
        if isinstance(raw, bool):
            return raw
        raise ValueError(f"{raw!r} is no value of memory.oom.group")


class Files(Protocol):
    """Reads and writes memory.oom.group. `errors` counts the accesses that failed, by the name of the error."""

    errors: Counter[str]

    def read(self, cgroup: CgroupDir) -> bool | None:
        """Return the value, or None if it cannot be read."""

    def write(self, cgroup: CgroupDir, value: bool, /) -> bool:
        """Write the value. Return True if it is in force now."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The values to write, by cgroup id. `originals` are those that `asked` replaces."""

    restored: Mapping[int, bool]
    originals: Mapping[int, bool]
    asked: Mapping[int, bool]


def changes(found: Mapping[int, bool], wanted: Mapping[int, bool], known: Mapping[int, bool]) -> Changes:
    """Return the changes from the values that were found, for a request and the known original values. Pure.

    A cgroup whose value was not found is left as it is.
    """
    asked = {cgroup: wanted[cgroup] for cgroup in found if cgroup in wanted and wanted[cgroup] != found[cgroup]}
    return Changes(
        {
            cgroup: known[cgroup]
            for cgroup in found
            if cgroup not in wanted and known.get(cgroup) == (not found[cgroup])
        },
        {cgroup: known.get(cgroup, found[cgroup]) for cgroup in asked},
        asked,
    )


class KillGroups:
    """Follows the request for memory.oom.group. `errors` has the names of the errors of the last time."""

    def __init__(self, values: GroupValues, files: Files) -> None:
        self._values, self._files = values, files
        self.errors: frozenset[str] = frozenset()

    @property
    def known(self) -> Mapping[int, bool]:
        """The original values by cgroup id that are not yet restored."""
        return self._values.known

    def bring(self, tree: Tree, wanted: Mapping[int, bool]) -> int:
        """Write what is wanted, and restore all others. Return the number of values that changed.

        OSError if the original values cannot be made durable: then none of them is replaced, and the values that no
        longer are wanted are restored all the same.
        """
        self._files.errors.clear()
        try:
            return self._bring(_of_pods(tree), wanted)
        finally:
            self.errors = frozenset(self._files.errors)

    def _bring(self, cgroups: Mapping[int, CgroupDir], wanted: Mapping[int, bool]) -> int:
        reading = [cgroups[cgroup] for cgroup in {*wanted, *self.known} if cgroup in cgroups]
        found = {each.id: value for each in reading if (value := self._files.read(each)) is not None}
        todo = changes(found, wanted, self.known)
        written = self._write(cgroups, todo.restored)
        if todo.asked:
            self._values.remember(todo.originals)
            written |= self._write(cgroups, todo.asked)
        in_force = {cgroup for cgroup, value in {**found, **written}.items() if value == self.known.get(cgroup)}
        gone = set(self.known) - set(cgroups)
        self._values.forget((in_force - set(wanted)) | gone)
        return len(written)

    def _write(self, cgroups: Mapping[int, CgroupDir], values: Mapping[int, bool]) -> dict[int, bool]:
        return {cgroup: value for cgroup, value in values.items() if self._files.write(cgroups[cgroup], value)}


def _of_pods(tree: Tree) -> dict[int, CgroupDir]:
    pods = tree.pods.values()
    own = [CgroupDir(pod.id, pod.path) for pod in pods]
    return {each.id: each for each in (*own, *(container for pod in pods for container in pod.containers.values()))}
