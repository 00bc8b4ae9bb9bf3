# SPDX-License-Identifier: Apache-2.0
"""How much time a property takes says nothing about it: the machine may be busy with something else."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
