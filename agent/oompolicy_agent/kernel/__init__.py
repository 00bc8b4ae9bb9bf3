# SPDX-License-Identifier: Apache-2.0
"""The border to the BPF program: libbpf, record layouts, maps, pins, and how this node enforces.

Everything belongs here that must agree with `bpf/oompolicy.h` or with the paths of pinned objects.
The loader and the agent both use it.
The meaning of an entry and the choice of the wanted entries belong to `mapping`.
"""
