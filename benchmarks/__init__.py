# SPDX-License-Identifier: Apache-2.0
"""Measurements of the OOM killer's selection, with and without the policy: `python3 -m benchmarks`.

The host's modules (`__main__`, `build`, `report`) boot one guest through `vmtest` and write `docs/benchmarks.md`. The
guest's modules are `guest`, `crowd`, `scopes`, `stopwatch` and `variants`. The folder `bpf/` has the measuring program
and the RFC's sample policy, written anew. `workload/` makes the processes that the kernel chooses from.
`race` and `adjuster` measure scores on a kernel without the hook. `raceguest` and `adjusterguest` are their parts in a
guest, and `guests` boots it.
`answers` writes the answers and the chart on top of the page, which `questions` and `chart` make from the tables that
`tables` reads.
Not here: the tests of the policy's decisions (`tests/node`).
"""
