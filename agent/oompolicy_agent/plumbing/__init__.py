# SPDX-License-Identifier: Apache-2.0
"""Event loop, file notifications, files, text, calls of the C library, and the paths on a node.

Here belongs code that any long-running Linux program could use.
Here does not belong anything that knows an OOM, a pod or a cgroup.
"""
