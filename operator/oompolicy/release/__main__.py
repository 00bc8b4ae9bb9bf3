# SPDX-License-Identifier: Apache-2.0
"""`python3 -m oompolicy.release` is `oompolicy-release`."""

import sys

from oompolicy.release.main import main

sys.exit(main())
