# SPDX-License-Identifier: Apache-2.0
"""Run the agent: `python3 -m oompolicy_agent`."""

import sys

from oompolicy_agent.main import main

sys.exit(main())
