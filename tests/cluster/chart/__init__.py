# SPDX-License-Identifier: Apache-2.0
"""The Helm chart: what it renders, refuses, and does to a real API server with a real helm.

There is no kubelet and no controller here; where a release waits for these, `controllers` plays them.
"""
