# SPDX-License-Identifier: Apache-2.0
"""The operator: it checks policies, reports which pods they match and which nodes apply them, and creates OOMNodes.

The kopf handlers, the census of pods, the reconcile loop, the Lease and the metrics belong here.
The order of priorities does not (see `oompolicy.resolve`). Nodes enforce policies without the operator, so code that a
node needs does not belong here either.
"""

# The first import, because kopf imports the kubernetes client if it is installed. This import keeps that client from
# loading all of its modules.
import oompolicy.kube.client  # noqa: F401
