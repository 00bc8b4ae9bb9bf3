# SPDX-License-Identifier: Apache-2.0
"""`python3 -m oompolicy` is the command `oompolicy`."""

import sys

from oompolicy.cli import main

sys.exit(main())
