# SPDX-License-Identifier: Apache-2.0
"""The loader's exceptions. Each message is one sentence for the node's owner.

LoaderError
└── UnsupportedError
"""


class LoaderError(Exception):
    """It failed although the node could have carried it."""


class UnsupportedError(LoaderError):
    """This node cannot carry it: to be said, but no failure."""
