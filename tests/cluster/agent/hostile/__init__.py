# SPDX-License-Identifier: Apache-2.0
"""Hostile objects against a real API server, the operator and an agent.

`values` has texts, numbers and quantities that programs read wrongly. `policies`, `settings` and `pods` each make one
hostile request from a random generator, and `storm` draws one of them per number and sends it. `readable` decides
whether a message is for people. `test_hostile` checks what must hold during and after the storm.

The storm prints its seed. To repeat a run, or to run a longer one, set OOMPOLICY_SEED and OOMPOLICY_HOSTILE_OBJECTS.
"""
