# SPDX-License-Identifier: Apache-2.0
"""The verb `preflight`: what this node can do, and why. It changes nothing, and needs no privilege.

`collect` reads the facts. `checks`, `modulechecks` and `answer` decide, and `show` prints: all of these are pure.
`facts` and `check` have the types. A decision of `attach` that is already in `plan` stays there.
"""
