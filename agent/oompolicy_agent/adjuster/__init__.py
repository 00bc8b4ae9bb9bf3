# SPDX-License-Identifier: Apache-2.0
"""Keep the order of priorities in `oom_score_adj`, on a kernel without the hook: solve, remember, write, restore.

`solver` decides the scores, `originals` remembers the values that they replace, and `wanted` is the agent's request.
`processes` is the only module that writes to /proc. `adjuster` connects them, in a process of its own.
Here does not belong anything that knows a pod, the API server, a BPF map or a victim.
"""
