# SPDX-License-Identifier: Apache-2.0
"""Runs `oompolicy-operator` as `python3 -m oompolicy.controller`."""

from __future__ import annotations

import sys

from oompolicy.controller.main import main

sys.exit(main())
