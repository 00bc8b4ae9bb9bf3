# SPDX-License-Identifier: Apache-2.0
"""`make demo`: the node of `examples/demo` runs out of memory three times: without a policy, in Audit, in Enforce.

`__main__` boots the guest and starts `guest` in it, which plays the three acts and checks the result.
`story` and `page` are pure: they have the pods, the expected result, and the printed form.
The host uses only the standard library. `guest` and its imports run only in the guest.
Tests of single rules of the kernel's choice are in `tests/node`.
"""
