# SPDX-License-Identifier: Apache-2.0
"""Tests of the images: a Docker Engine of our own builds and runs them.

The tests need root, Debian's archive and PyPI's packages. Some need the API server of `tests/cluster`, or the headers
of the guest of `vmtest`. They need no installed Docker, and do not use one.
Each module has one task. `engine` makes the tree that Docker runs in, and `docker` runs it. `base` makes the base image
without a registry. `outside` reads this machine's settings for a build, and `build` builds. `archive` reads the built
images, and `lock` writes the versions for a build.
"""
