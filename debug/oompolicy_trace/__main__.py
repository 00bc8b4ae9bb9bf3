# SPDX-License-Identifier: Apache-2.0
"""`python3 -m oompolicy_trace`."""

import sys

from oompolicy_trace.main import main

sys.exit(main())
