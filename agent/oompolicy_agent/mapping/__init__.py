# SPDX-License-Identifier: Apache-2.0
"""From pods and cgroups to the entries of the pinned map: look, decide, act.

Here belong the cgroup tree, which pod a cgroup belongs to, the entries that are wanted, and the map that is written.
Here does not belong where pods and policies come from: that is `objects`.
"""
