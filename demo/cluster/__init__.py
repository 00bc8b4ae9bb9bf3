# SPDX-License-Identifier: Apache-2.0
"""The second part of `make demo`: the same decision in a cluster, with kubectl.

`__main__` checks with the standard library alone if this machine can show it, and starts `play` in the virtual
environment. The first part, which needs neither, is in `demo/node`.
"""
