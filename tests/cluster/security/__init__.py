# SPDX-License-Identifier: Apache-2.0
"""The rights of operator and agent with `deploy/`, tested with a real kube-apiserver and real tokens.

Each test of a refusal has the message that the user gets. Beside it is a test of a request that is allowed.
"""
