# SPDX-License-Identifier: Apache-2.0
"""The programs of a node: the loader, privileged and short-lived, and the agent, unprivileged and long-running.

Here belong cgroups, pinned BPF objects, victims and their reports.
Here does not belong the meaning of a policy: that is `oompolicy`, which never imports this package.
"""
