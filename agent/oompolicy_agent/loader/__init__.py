# SPDX-License-Identifier: Apache-2.0
"""The loader: puts the hook module, the BPF object and the maps in place on a node, or removes them. Then it exits.

Everything that needs privileges belongs here: inspecting the node (`node`), choosing the object to attach (`plan`,
pure), the kernel module (`module`), the pins (`pinfolder`), generations of attached programs (`generation`), the first
fill of the maps (`fill`), and the hand-over to the agent's user (`handover`).
Everything that keeps running belongs to the agent, which never imports this package.
Each verb of the command line has its module: `attach`, `detach`, `status`, `build`, `preflight`.
"""
