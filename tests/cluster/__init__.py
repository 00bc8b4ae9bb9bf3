# SPDX-License-Identifier: Apache-2.0
"""A real API server and its etcd on this machine, and the tests that run against them.

One verb per module: `binaries` finds or makes the programs, `cluster` runs them, `kubeconfig` says who one is to
them, `objects` builds what a cluster without kubelets and controllers lacks. `conftest.py` lists the fixtures.
`python3 -m tests.cluster.run` runs a cluster without any test.

There is no scheduler, kubelet or controller: pods stay as they were written, nothing is garbage-collected, and a
deleted namespace stays `Terminating`.
"""
