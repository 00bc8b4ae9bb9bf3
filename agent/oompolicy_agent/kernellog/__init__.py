# SPDX-License-Identifier: Apache-2.0
"""Victims from the kernel's log, on a node whose kernel lets no BPF program observe.

`records` splits the text of the log, and `kills` finds the kills in it. `follower` adds each kill once to the file of
`handover`, in which the adjuster gives the kills to the agent. Both programs use this package, so it knows no pod.
Here does not belong how a kill becomes a report: that is `victims`.
"""
