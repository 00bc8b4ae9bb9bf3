# SPDX-License-Identifier: Apache-2.0
"""oompolicy as its users have it: a node with containerd and a kubelet, our images, our chart."""
