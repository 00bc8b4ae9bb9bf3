# SPDX-License-Identifier: Apache-2.0
"""The policy model: the meaning of an OOMPolicy, and the priority that a pod gets from it.

Here belong the frozen records, their parsing and validation, and the pure resolution used alike by the
agent, the operator and the command line.
Here do not belong cgroups, BPF, watches or any other I/O beyond reading manifests: importing this package
imports neither kopf nor kubernetes.
"""
