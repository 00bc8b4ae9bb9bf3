# SPDX-License-Identifier: Apache-2.0
"""Keep the labels of a pod that policies can select by.

The owner of a pod may give it 1.5 MB of labels. A program that follows many pods keeps all labels of a pod that has
few. Of other pods it keeps only the labels whose keys a policy uses, because no other label can change a priority. If a
policy uses a new key, the program reads such pods again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from oompolicy.model import OOMPolicy

FEW: Final = 64
"""A pod with at most so many labels keeps all of them. Pods that several tools label have about a third of it."""
FEW_CHARACTERS: Final = 4096
"""The same limit for the number of characters of all keys and values together."""

Labels = Mapping[str, str]
Keys = frozenset[str]


class Kept(NamedTuple):
    """The labels of a pod that are kept. `keys` are the only ones that were looked for, or None if all are kept."""

    labels: Labels
    keys: Keys | None


def keys_of(policies: Iterable[OOMPolicy]) -> Keys:
    """Return the keys of the labels of pods that policies select by."""
    selectors = (policy.match.pod_selector for policy in policies)
    return frozenset(each.key for selector in selectors if selector for each in selector.requirements)


class LabelFilter:
    """Selects the labels of a pod to keep, by the keys that policies use.

    One thread may call `set_policies`, and other threads may call `kept`. `read_again` is called if a policy uses a new
    key after labels were left out.
    """

    def __init__(self) -> None:
        self.read_again: Callable[[], None] = _nothing
        self._keys: Keys = frozenset()
        self._cut = False

    def kept(self, labels: Labels) -> Kept:
        """Return the labels of a pod that have to be kept."""
        if len(labels) <= FEW and sum(len(key) + len(value) for key, value in labels.items()) <= FEW_CHARACTERS:
            return Kept(labels, None)
        # In the opposite order of `set_policies`: either new keys are seen here, or this pod is seen there.
        self._cut = True
        keys = self._keys
        return Kept({key: labels[key] for key in keys if key in labels}, keys)

    def set_policies(self, policies: Iterable[OOMPolicy]) -> None:
        """Replace the set of policies."""
        keys = keys_of(policies)
        new = not keys <= self._keys
        self._keys = keys
        if new and self._cut:
            self.read_again()


def _nothing() -> None:
    pass
