# SPDX-License-Identifier: Apache-2.0
"""The steps of a release: docs/release.md. Each step is a target of the Makefile and runs without a registry."""
