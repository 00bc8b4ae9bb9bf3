# SPDX-License-Identifier: Apache-2.0
"""What can go wrong around the images.

HarnessError
└── DockerError   Docker could not be made, did not start, or refused
"""

from vmtest.errors import HarnessError


class DockerError(HarnessError):
    """Docker could not be made, did not start, or refused."""
