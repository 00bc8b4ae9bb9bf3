# SPDX-License-Identifier: Apache-2.0
"""The state of the node as the agent reports it: problems, reasons, counters, status.json and metrics.

Every word and number by which others judge the node belongs here. How they reach the API server belongs to `api`.
"""
