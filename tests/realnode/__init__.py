# SPDX-License-Identifier: Apache-2.0
"""oompolicy as its users run it: a node with containerd and a kubelet, our images, our chart."""
