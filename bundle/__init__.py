# SPDX-License-Identifier: Apache-2.0
"""Builds the release of the command line: a zipapp, and the archive and the manifest of the kubectl plugin."""
