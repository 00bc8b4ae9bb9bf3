/* SPDX-License-Identifier: GPL-2.0-only */
/* From a cgroup to the priority of its tasks, and to all else that the policy reads of the cgroup. */
#ifndef OOMPOLICY_STANDING_BPF_H
#define OOMPOLICY_STANDING_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "cgroup.bpf.h"
#include "oom.bpf.h"
#include "read.bpf.h"

/*
 * Descendants inherit entries down to this level. On every node the cgroups of
 * pods and containers are above it, even if the node is itself a container. A
 * cgroup below this level has its own entry, or else the entry of its nearest
 * ancestor from this level upwards. A container that nests more cgroups
 * therefore gains nothing, and a lookup stays short.
 */
#define DEEPEST_INHERITED	31

/*
 * The standings of this OOM, in slots by the last bits of the cgroup's id. The
 * id is a serial number, so these bits spread well. A single slot would be
 * useless: the tasks of one container are not neighbours in the node's task
 * list.
 */
#define STANDINGS		4096
static struct standing standings[STANDINGS];

static __always_inline bool find_at(struct cgroup *cgrp, struct standing *found)
{
	u64 id = cgroup_id(cgrp);
	struct oompolicy_entry *entry = bpf_map_lookup_elem(&cgroup_priority, &id);

	if (!entry)
		return false;
	found->priority = entry->priority;
	found->level = READ(cgrp, level);
	/*
	 * Read once for all tasks of the cgroup, so that the order within one OOM does not change with the usage. From
	 * the host's priority upwards the kernel's order stays: a node-critical pod without a request has oom_score_adj
	 * -997, and would otherwise die before a process of the host.
	 */
	if (oom.tie_break == OOMPOLICY_MOST_OVER_REQUEST && entry->priority < oom.host_priority)
		found->over_request = usage_of(cgrp) - (s64)(entry->memory_request >> (oom.page_shift & 31));
	return true;
}

/* Find the nearest entry from this cgroup up to the root. Without an entry the host's priority applies. */
static __noinline int find_above(struct cgroup *cgrp, struct standing *found)
{
	for (int i = 0; i <= DEEPEST_INHERITED; i++) {
		struct cgroup_subsys_state *parent;

		if (find_at(cgrp, found))
			return 0;
		parent = READ(cgrp, self.parent);
		if (!parent)
			break;
		cgrp = cgroup_with(parent);
	}
	found->priority = oom.host_priority;
	found->level = OOMPOLICY_NO_LEVEL;
	return 0;
}

/* Read once for all tasks of the cgroup, as over_request. */
static __always_inline s64 group_pages(struct cgroup *cgrp)
{
#ifdef OOMPOLICY_OBSERVE_ONLY
	/* This object chooses no victim, and the walk of group_of() is too long for the verifier of Linux 5.10. */
	return 0;
#else
	struct cgroup *group = oom.minimum_victim_pages ? group_of(cgrp) : NULL;

	return group ? usage_of(group) : 0;
#endif
}

VERIFIED_ONCE int find_standing(struct standing *found)
{
	struct cgroup *cgrp = TYPED(oom.examined, struct cgroup);
	u64 id = cgroup_id(cgrp);

	/* For the verifier: no caller passes NULL. */
	if (!found)
		return 0;
	found->cgroup_id = id;
	found->oom = oom.number;
	found->over_request = 0;
	found->group_pages = group_pages(cgrp);
	if (READ(cgrp, level) <= DEEPEST_INHERITED)
		return find_above(cgrp, found);
	return find_at(cgrp, found) ? 0 : find_above(ancestor_at(cgrp, DEEPEST_INHERITED), found);
}

/* Return the standing of the task's cgroup. It is valid until the next call, which may reuse the slot. */
static __always_inline struct standing *standing_of(struct task_struct *task)
{
	struct cgroup *cgrp = cgroup_of(task);
	u64 id = cgroup_id(cgrp);
	struct standing *found = &standings[id % STANDINGS];

	if (found->cgroup_id != id || found->oom != oom.number) {
		oom.examined = (u64)cgrp;
		find_standing(found);
	}
	return found;
}

#endif /* OOMPOLICY_STANDING_BPF_H */
