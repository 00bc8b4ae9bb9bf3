# SPDX-License-Identifier: Apache-2.0
"""What can go wrong around a cluster.

HarnessError
└── ClusterError
    ├── BinariesError   kube-apiserver, kubectl, etcd, helm or promtool are not there and could not be made
    ├── ServerError     etcd or the API server ended, or never became ready
    ├── KubectlError    kubectl ended with a status other than 0
    └── HelmError       helm did
"""

from vmtest.errors import HarnessError


class ClusterError(HarnessError):
    """The cluster failed, not what is tested against it."""


class BinariesError(ClusterError):
    """kube-apiserver, kubectl, etcd, helm or promtool are not there and could not be made."""


class ServerError(ClusterError):
    """Etcd or the API server ended, or never became ready."""


class KubectlError(ClusterError):
    """What kubectl wrote to stderr when it ended with a status other than 0."""


class HelmError(ClusterError):
    """What helm wrote when it ended with a status other than 0."""
