# SPDX-License-Identifier: Apache-2.0
"""The agent's process against a real API server.

This machine has no hook, and maybe no cgroup v2. `program` gives the agent a folder in the place of the cgroup tree, a
dict in the place of the map, and a pipe in the place of the ring buffer of victims. All else is the agent's own code,
including its command line.
"""
