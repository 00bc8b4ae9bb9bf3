# SPDX-License-Identifier: Apache-2.0
"""The border to the BPF program: libbpf, record layouts, maps, pins, and how this node enforces.

Here belongs everything that must agree with `bpf/oompolicy.h` or with the paths of pinned objects.
The loader and the agent both use it.
Here does not belong what an entry means or which entries are wanted: that is `mapping`.
"""
