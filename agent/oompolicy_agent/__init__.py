# SPDX-License-Identifier: Apache-2.0
"""What runs on a node: the short-lived loader (privileged) and the long-running agent (not).

Here belong cgroups, pinned BPF objects, victims and their reports.
Here does not belong what a policy means: that is `oompolicy`, which this package may import and never the
other way round.
"""
