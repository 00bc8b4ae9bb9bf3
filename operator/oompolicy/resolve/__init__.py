# SPDX-License-Identifier: Apache-2.0
"""From policies, namespaces and pods to the priority of every container. Pure.

Here belong matching, precedence, annotations and adjustments.
Here does not belong a cgroup or the kernel: an assignment names pods and containers only.
"""

from oompolicy.resolve.resolver import Resolver, resolve

__all__ = ["Resolver", "resolve"]
