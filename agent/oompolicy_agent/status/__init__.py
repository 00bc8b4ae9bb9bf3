# SPDX-License-Identifier: Apache-2.0
"""What the node reports of itself: problems, reasons, counters, status.json and metrics.

Here belongs every word and number by which others judge the node.
Here does not belong how they reach the API server: that is `api`.
"""
