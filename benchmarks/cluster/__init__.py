# SPDX-License-Identifier: Apache-2.0
"""What a big cluster costs the operator and the API server: `python3 -m benchmarks.cluster`.

Here: a real API server and etcd (`tests.cluster`) filled with objects (`objects`, `policies`, `etcd`, `filling`), the
real operator as a process (`controller`, `process`), what happens to them (`churn`, `agents`), what is measured
(`lag`, `measure`, `results`) and how it is told (`report`).
Not here: nodes, kubelets and controllers; a node's own costs (`benchmarks`).
"""
