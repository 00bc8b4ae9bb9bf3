# SPDX-License-Identifier: Apache-2.0
"""The operator: checks policies, says what they match and which nodes apply them, and keeps one OOMNode per Node.

Here belong the kopf handlers, the census of pods, the reconcile loop, the Lease and the metrics.
Here does not belong who dies first (`oompolicy.resolve`) nor anything that a node needs: nodes enforce without us.
"""

# First of all, before kopf: that imports the kubernetes client if there is one, and this keeps it from importing all.
import oompolicy.kube.client  # noqa: F401
