# SPDX-License-Identifier: Apache-2.0
"""The images, really built and really run, by a Docker Engine of our own.

Needs root, Debian's archive and PyPI's packages, and for some tests the API server of `tests/cluster` or the headers of
`vmtest`'s guest. No Docker has to be there, and one that is there is left alone.
One verb per module: `engine` makes the tree that Docker runs in, `docker` runs it, `base` makes the base image that no
registry can be asked for, `outside` says what a build needs to know of this machine, `build` builds, `archive` reads
what was built, `lock` writes the versions that a build takes.
"""
