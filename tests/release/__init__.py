# SPDX-License-Identifier: Apache-2.0
"""The dry run of a release: `make release-dry-run`.

A clone of the commit is made ready as docs/release.md says, and the targets of the release workflow run in it. Docker,
Helm and cosign are real, and push to a registry on this machine. docs/release.md lists the differences from a release.

`cosign` builds the program, `clone` makes the clone, `programs` writes the programs that the targets find on their
path, `push` pushes images for them, and `dryrun` runs the targets. `test_dryrun` checks the results as a user would,
and `test_node` installs them on the node of `tests/realnode`.
"""
