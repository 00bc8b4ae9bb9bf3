# SPDX-License-Identifier: Apache-2.0
"""The whole path: API server and operator run on this machine, and the agent in a guest with its own kernel.

`node` runs in the guest and carries out the orders that it reads from a socket. `kubelet`, `agentprocess` and
`shortage` have the orders. The other modules run on the host. `guest` boots the guest and sends orders.
`installation` acts as admin, scheduler and kubelet towards the API server. `measure` takes the times. `demo` is the
second part of `make demo`.
These tests need both a cluster and a guest. A test that needs only one of them is in `tests/cluster` or `tests/node`.
"""
