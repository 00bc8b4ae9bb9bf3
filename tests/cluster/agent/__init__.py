# SPDX-License-Identifier: Apache-2.0
"""The agent's process against a real API server.

This machine has no hook, and maybe no cgroup v2: `program` gives the agent a folder for a cgroup tree and a dict for a
map, and takes records of victims from a pipe. Everything else is the agent's own, its command line too.
"""
