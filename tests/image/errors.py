# SPDX-License-Identifier: Apache-2.0
"""Errors with the images.

HarnessError
└── DockerError   Docker could not be made, did not start, or refused
"""

from vmtest.errors import HarnessError


class DockerError(HarnessError):
    """Docker could not be made, did not start, or refused."""
