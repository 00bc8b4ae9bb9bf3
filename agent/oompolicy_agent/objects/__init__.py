# SPDX-License-Identifier: Apache-2.0
"""Policies, namespaces and pods: where they come from, and the last good state of them.

Here belong the interface of every source, the source that reads a folder, and the checkpoint.
Here does not belong the source that follows the API server: that is `api`.
"""
