# SPDX-License-Identifier: Apache-2.0
"""Keep of a pod's labels as much as policies can ask for.

The owner of a pod may give it 1.5 MB of labels. A program that follows many pods keeps all labels of those that have
few. Of the others it keeps the labels whose keys a policy asks for, and that is all that can change a priority. When a
policy asks for another key, such pods have to be read again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from oompolicy.model import OOMPolicy

FEW: Final = 64
"""Labels of a pod that are kept whatever they are: about three times as many as one has that several tools label."""
FEW_CHARACTERS: Final = 4096
"""The same for the lengths of their keys and values together."""

Labels = Mapping[str, str]


class AskedLabels:
    """The keys that policies ask for. One thread may call `ask` and others `kept`.

    `again` is called when labels are asked for that were left out before.
    """

    def __init__(self) -> None:
        """Nothing is asked for."""
        self.again: Callable[[], None] = _nothing
        self._keys: frozenset[str] = frozenset()
        self._cut = False

    def kept(self, labels: Labels) -> Labels:
        """What is kept of a pod's labels."""
        if len(labels) <= FEW and sum(len(key) + len(value) for key, value in labels.items()) <= FEW_CHARACTERS:
            return labels
        # In the opposite order of `ask`: either new keys are seen here, or this pod is seen there.
        self._cut = True
        keys = self._keys
        return {key: labels[key] for key in keys if key in labels}

    def ask(self, policies: Iterable[OOMPolicy]) -> None:
        """These are all policies now."""
        selectors = (policy.match.pod_selector for policy in policies)
        keys = frozenset(each.key for selector in selectors if selector for each in selector.requirements)
        new = not keys <= self._keys
        self._keys = keys
        if new and self._cut:
            self.again()


def _nothing() -> None:
    pass
