# SPDX-License-Identifier: Apache-2.0
"""The Helm chart: its rendered objects, the values that it refuses, and its releases at a real API server.

A real helm runs here, but no kubelet and no controller. If a release waits for one, `controllers` plays it.
"""
