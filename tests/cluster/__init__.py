# SPDX-License-Identifier: Apache-2.0
"""A real API server and its etcd on this machine, and the tests that run against them.

Each module does one thing: `binaries` finds or makes the programs, `cluster` runs them, `kubeconfig` writes the
identities of clients, and `objects` builds the objects that kubelets and controllers would make. `conftest.py` lists
the fixtures. `python3 -m tests.cluster.run` runs a cluster without any test.

There is no scheduler, kubelet or controller: pods stay as they were written, nothing is garbage-collected, and a
deleted namespace stays `Terminating`.
"""
