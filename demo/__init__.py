# SPDX-License-Identifier: Apache-2.0
"""`make demo`: one node runs out of memory without a policy, and with one in the modes Audit and Enforce.

`node` shows it in a guest, with the loader and the agent alone.
`cluster` shows the same decision with kubectl and a real API server.
`style` has the style of the drawn pictures.
Tests are in `tests`.
"""
