# SPDX-License-Identifier: Apache-2.0
"""The configuration of a node's programs, as the files that they read. The functions are pure."""

from __future__ import annotations

import json
from typing import Any, Final

NODE_NAME: Final = "node-a"
ADDRESS: Final = "10.0.2.15"
"""The guest's address in QEMU's user networking."""

POD_RANGE: Final = "10.244.0.0/24"
ETC: Final = "/etc/kubernetes"
SOCKET: Final = "/run/containerd/containerd.sock"
REGISTRIES: Final = "/etc/containerd/certs.d"
"""The folder with a folder for each registry that has another address on the node."""


def files(kubeconfigs: dict[str, str], ca: str, pause: str) -> dict[str, str]:
    """Return the content of each file by its path.

    `kubeconfigs` has the kubeconfig of kubelet and kube-proxy. `ca` signs the certificates of the kubelet's clients.
    """
    return {
        **{f"{ETC}/{name}.kubeconfig": text for name, text in kubeconfigs.items()},
        f"{ETC}/ca.crt": ca,
        f"{ETC}/kubelet.yaml": json.dumps(kubelet()),
        f"{ETC}/kube-proxy.yaml": json.dumps(kube_proxy()),
        "/etc/cni/net.d/10-bridge.conflist": json.dumps(network()),
        "/etc/containerd/config.toml": CONTAINERD.replace("PAUSE", pause),
    }


def mirror(address: str) -> str:
    """Return the file for a registry: containerd fetches its images by HTTP from this address, and only from there."""
    return f'server = "http://{address}"\n[host."http://{address}"]\ncapabilities = ["pull", "resolve"]\n'


def kubelet() -> dict[str, Any]:
    """Return the configuration that kubeadm writes, except for the commented fields. JSON is YAML."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        # The guest has no systemd.
        "cgroupDriver": "cgroupfs",
        "authentication": {"x509": {"clientCAFile": f"{ETC}/ca.crt"}},
        # Otherwise the kubelet could evict a pod before the kernel has to kill, and the test would have no OOM.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "maxPods": 250,
        # No server has this address, but without it the kubelet warns of each pod.
        "clusterDNS": ["10.96.0.10"],
        "resolvConf": "",
    }


def kube_proxy() -> dict[str, Any]:
    """Return the configuration with which pods reach the API server by its Service."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_RANGE,
        "clientConnection": {"kubeconfig": f"{ETC}/kube-proxy.kubeconfig"},
        # The guest's own limits are enough.
        "conntrack": {"maxPerCore": 0},
    }


def network() -> dict[str, Any]:
    """Return a bridge. Pods leave the guest with its address, because QEMU knows no other."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


CONTAINERD: Final = f"""
version = 3
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "PAUSE"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "{REGISTRIES}"
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""
