# SPDX-License-Identifier: Apache-2.0
"""What `deploy/` lets operator and agent do, asked of a real kube-apiserver with real tokens.

Each test of a refusal names the sentence that whoever is refused reads; beside it stands a test of what is allowed.
"""
