# SPDX-License-Identifier: Apache-2.0
"""Measurements of the OOM killer's selection, with and without the policy: `python3 -m benchmarks`.

Here: the host's side (`__main__`, `build`, `report`), which boots one guest through `vmtest` and writes
`docs/benchmarks.md`; the guest's side (`guest`, `crowd`, `scopes`, `stopwatch`, `variants`); the measuring program,
the RFC's sample policy written anew (`bpf/`) and the processes to choose from (`workload/`).
Not here: the tests of the policy's decisions (`tests/node`).
"""
