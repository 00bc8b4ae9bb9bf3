# SPDX-License-Identifier: Apache-2.0
"""The whole path: API server and operator on this machine, the agent in a guest with real cgroups and its own kernel.

`node` runs in the guest and does what it is told over a socket: `kubelet`, `agentprocess` and `shortage` are what it
can do. The rest is the host's side: `guest` boots and gives orders, `installation` is admin, scheduler and kubelet to
the API server, `measure` takes the times. `demo` is the second part of `make demo`.
Told apart from `tests/cluster` and `tests/node` by what it needs, which is both. Not here: what one of them can show.
"""
