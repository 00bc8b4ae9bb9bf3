# SPDX-License-Identifier: Apache-2.0
"""`python3 -m oompolicy.controller` is `oompolicy-operator`."""

import sys

from oompolicy.controller.main import main

sys.exit(main())
