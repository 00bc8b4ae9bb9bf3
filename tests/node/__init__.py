# SPDX-License-Identifier: Apache-2.0
"""Real OOMs on a real kernel: each test looks at who died.

These tests know nothing of virtual machines, but they do take memory away from the machine they run on:
`vmtest` boots one for them. Here belong the workloads, the cgroups and the expectations. Here do not belong
images or QEMU.
"""
