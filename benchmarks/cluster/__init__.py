# SPDX-License-Identifier: Apache-2.0
"""The cost of a big cluster for the operator and the API server: `python3 -m benchmarks.cluster`.

Here: a real API server and etcd (`tests.cluster`) filled with objects (`objects`, `policies`, `etcd`, `filling`), the
real operator as a process (`controller`, `process`), the changes that both have to handle (`churn`, `agents`), the
measurements (`lag`, `measure`, `results`) and their tables (`report`).
Not here: nodes, kubelets and controllers. `benchmarks` measures the costs of a node.
"""
