# SPDX-License-Identifier: Apache-2.0
"""The loader's exceptions. Each message is one sentence for the node's owner.

LoaderError
├── RefusedError
└── UnsupportedError
"""


class LoaderError(Exception):
    """A step failed on a node that meets the requirements. The loader exits with status 1."""


class RefusedError(LoaderError):
    """The kernel did not load or attach a program."""


class UnsupportedError(LoaderError):
    """The node does not meet a requirement. The loader reports the reason, and exits with status 0."""
