# SPDX-License-Identifier: Apache-2.0
"""Keep the order of priorities in `oom_score_adj`, on a kernel without the hook: solve, remember, write, restore.

`solver` decides the scores, `originals` remembers the values that they replace, and `wanted` is the agent's request.
`killgroups` brings memory.oom.group to the kill scopes of the policies, on any kernel.
`processes` is the only module that writes to /proc, and `oomgroup` the only one that writes to cgroups.
`adjuster` connects them, in a process of its own.
Here does not belong anything that knows a pod, the API server, a BPF map or a victim.
"""
