# SPDX-License-Identifier: Apache-2.0
"""The errors of the programs around a cluster.

HarnessError
└── ClusterError
    ├── BinariesError   kube-apiserver, kubectl, etcd, helm or promtool are missing and could not be made
    ├── ServerError     etcd or the API server ended, or never became ready
    ├── KubectlError    kubectl ended with a status other than 0
    └── HelmError       helm ended with a status other than 0
"""

from vmtest.errors import HarnessError


class ClusterError(HarnessError):
    """The cluster failed, not the program that is tested against it."""


class BinariesError(ClusterError):
    """kube-apiserver, kubectl, etcd, helm or promtool are missing and could not be made."""


class ServerError(ClusterError):
    """Etcd or the API server ended, or never became ready."""


class KubectlError(ClusterError):
    """The text that kubectl wrote to stderr when it ended with a status other than 0."""


class HelmError(ClusterError):
    """The text that helm wrote when it ended with a status other than 0."""
