# SPDX-License-Identifier: Apache-2.0
"""The steps of the Helm chart that run in the cluster: before an uninstall, and for `helm test`.

They wait for DaemonSets, and check that nodes enforce. They need no right to create an object. Code that the operator
or the agents need does not belong here.
"""
