# SPDX-License-Identifier: Apache-2.0
"""Real OOMs on a real kernel: each test checks which process the kernel killed.

These tests do not depend on virtual machines, but they use up the memory of the machine that they run on.
`vmtest` boots a virtual machine for them. This package has the workloads, the cgroups and the expectations.
Images and QEMU belong to `vmtest`.
"""
