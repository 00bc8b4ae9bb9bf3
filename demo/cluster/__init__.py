# SPDX-License-Identifier: Apache-2.0
"""The second part of `make demo`: the same decision in a cluster, with kubectl.

`__main__` finds out whether this machine can show it, with the standard library alone, and starts `play` in the virtual
environment. Not here: the first part, which needs neither; that is `demo/node`.
"""
