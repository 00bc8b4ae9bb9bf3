# SPDX-License-Identifier: Apache-2.0
"""Sources of policies, namespaces and pods, and the last good state of them.

The interface of every source, the source that reads a folder, and the checkpoint belong here. The source that follows
the API server belongs to `api`.
"""
