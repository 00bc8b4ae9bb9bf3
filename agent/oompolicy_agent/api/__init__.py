# SPDX-License-Identifier: Apache-2.0
"""The agent's side of the API server: what it hears (policies, namespaces, its node's pods) and what it says.

Three threads follow, one posts Events, one writes the OOMNode's status; each wakes the loop by an eventfd and waits for
the network in its place. Here belongs all that knows of requests.
Here does not belong what an OOM, a cgroup or a priority is. Imported only with `--kubeconfig` or `--in-cluster`.
"""
