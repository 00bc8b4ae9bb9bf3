# SPDX-License-Identifier: Apache-2.0
"""Properties have no time limit, because other work on the machine would make a slow example fail."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
