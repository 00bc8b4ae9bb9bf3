# SPDX-License-Identifier: Apache-2.0
"""What the Helm chart has run in the cluster: before an uninstall, and for `helm test`.

Here belongs waiting for DaemonSets and asking nodes whether they enforce.
Here does not belong anything that operator or agents need while they run, nor a right to create something.
"""
