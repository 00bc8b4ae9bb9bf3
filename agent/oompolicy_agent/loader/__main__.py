# SPDX-License-Identifier: Apache-2.0
"""`python3 -m oompolicy_agent.loader` is `oompolicy-loader`."""

import sys

from oompolicy_agent.loader.main import main

sys.exit(main())
