# SPDX-License-Identifier: Apache-2.0
"""`python3 -m bundle` is `make dist`."""

import sys

from bundle.main import main

sys.exit(main())
