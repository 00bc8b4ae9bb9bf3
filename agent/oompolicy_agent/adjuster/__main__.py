# SPDX-License-Identifier: Apache-2.0
"""Run the adjuster: `python3 -m oompolicy_agent.adjuster`."""

import sys

from oompolicy_agent.adjuster.main import main

sys.exit(main())
