# SPDX-License-Identifier: Apache-2.0
"""The loader: puts hook module, BPF object and maps in place on a node, and takes them away again. Then it ends.

Here belongs what needs privileges: looking at the kernel (`look`), deciding what to do (`plan`, pure), the module,
pins, generations of attached programs, the first fill of the maps, the hand-over to the agent's user.
Here does not belong what runs on: that is the agent, which never imports this package.
Each verb of the command line has its module: `attach`, `detach`, `status`.
"""
