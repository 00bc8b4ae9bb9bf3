# SPDX-License-Identifier: Apache-2.0
"""The proof: two OOMs of the loader's own show that this kernel kills the process with the lowest priority.

`prove` decides whether to make a proof, and makes it. `scene` has the cgroups and entries, `process` the two processes,
and `verdict` judges what was observed (pure). `namespace` lets a loader in a container use cgroups of the host.

The policy decides in the OOMs of the proof in every mode, because the entry of the cgroup that runs out of memory has
the flag PROOF. In all other OOMs the mode of the node applies. A victim of a proof has no record, so no agent reports
it, and no counter counts it.
"""
