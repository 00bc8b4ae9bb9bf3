# SPDX-License-Identifier: Apache-2.0
"""`make demo`: the node of `examples/demo` runs out of memory twice, without and with a policy.

`__main__` boots the guest and starts `guest` in it, which plays the two acts and judges the outcome.
`story` and `page` are pure: who is on stage, what has to come out, and how it is printed.
On the host the standard library has to do: `guest` and what it imports run in the guest only.
Not here: tests of single rules of the kernel's choice; those are in `tests/node`.
"""
