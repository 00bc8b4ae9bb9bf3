# SPDX-License-Identifier: Apache-2.0
"""From pods and cgroups to the entries of the pinned map: scan the tree, decide the entries, write the map.

Here belong the cgroup tree, the pod of each cgroup, the wanted entries, and the pinned map. `mapper` connects them.
The source of pods and policies does not belong here, but in `objects`.
"""
