/* SPDX-License-Identifier: GPL-2.0-only */
/* From a task to its cgroup, and from the cgroup to the priority of its tasks. */
#ifndef OOMPOLICY_STANDING_BPF_H
#define OOMPOLICY_STANDING_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

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

/* On kernels before 6.1, the ancestors of a cgroup are found from this level upwards. */
#define DEEPEST_WALKED		64

/*
 * The standings of this OOM, in slots by the last bits of the cgroup's id. The
 * id is a serial number, so these bits spread well. A single slot would be
 * useless: the tasks of one container are not neighbours in the node's task
 * list.
 */
#define STANDINGS		4096
static struct standing standings[STANDINGS];

static __always_inline u64 cgroup_id(struct cgroup *cgrp)
{
	return READ(cgrp, kn, id);
}

static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	return READ(task, cgroups, dfl_cgrp);
}

/* As cgroup_parent() does: the css found here is the member self of the parent. */
static __always_inline struct cgroup *cgroup_with(struct cgroup_subsys_state *self)
{
	return TYPED((void *)self - bpf_core_field_offset(struct cgroup, self), struct cgroup);
}

#ifdef OOMPOLICY_OBSERVE_ONLY
static __noinline struct cgroup *walk_to(struct cgroup *cgrp, int level)
{
	for (int i = 0; i <= DEEPEST_WALKED; i++) {
		struct cgroup_subsys_state *parent;

		if (READ(cgrp, level) == level)
			return cgrp;
		parent = READ(cgrp, self.parent);
		if (!parent)
			break;
		cgrp = cgroup_with(parent);
	}
	return NULL;
}
#endif

static __always_inline struct cgroup *ancestor_at(struct cgroup *cgrp, u32 level)
{
#ifdef OOMPOLICY_OBSERVE_ONLY
	/* A cgroup has pointers to its ancestors since Linux 6.1. The policy needs a newer kernel. */
	if (!bpf_core_field_exists(cgrp->ancestors))
		return walk_to(cgrp, level);
#endif
	void *ancestors = (void *)cgrp + bpf_core_field_offset(cgrp->ancestors);
	struct cgroup *ancestor = NULL;

	bpf_probe_read_kernel(&ancestor, sizeof(ancestor), ancestors + level * sizeof(ancestor));
	return TYPED(ancestor, struct cgroup);
}

/* Write the ids of the cgroup and of its ancestors, as far as a record has room. [0] is the root. */
static __always_inline void fill_ids(u64 *ids, struct cgroup *cgrp)
{
	for (u32 i = 0; i < OOMPOLICY_LEVELS && i <= (u32)READ(cgrp, level); i++)
		ids[i] = cgroup_id(ancestor_at(cgrp, i));
}

/* Return the memory controller's part of the cgroup, or NULL if the cgroup has none of its own. */
static __always_inline struct mem_cgroup *memcg_of(struct cgroup *cgrp)
{
	u32 memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	void *subsys = (void *)cgrp + bpf_core_field_offset(cgrp->subsys);
	void *css = NULL;

	bpf_probe_read_kernel(&css, sizeof(css), subsys + memory * sizeof(css));
	if (!css)
		return NULL;
	return TYPED(css - bpf_core_field_offset(struct mem_cgroup, css), struct mem_cgroup);
}

/* Return the memory that the cgroup uses, in pages, as memory.current counts it. */
static __always_inline s64 usage_of(struct cgroup *cgrp)
{
	struct mem_cgroup *memcg = memcg_of(cgrp);

	return memcg ? READ(memcg, memory.usage.counter) : 0;
}

static __always_inline bool find_at(struct cgroup *cgrp, struct standing *found)
{
	u64 id = cgroup_id(cgrp);
	struct oompolicy_entry *entry = bpf_map_lookup_elem(&cgroup_priority, &id);

	if (!entry)
		return false;
	found->priority = entry->priority;
	found->level = READ(cgrp, level);
	/* Read once for all tasks of the cgroup, so that the order within one OOM does not change with the usage. */
	if (oom.tie_break == OOMPOLICY_MOST_OVER_REQUEST)
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

static __noinline int find_standing(struct cgroup *cgrp, struct standing *found)
{
	u64 id = cgroup_id(cgrp);

	found->cgroup_id = id;
	found->oom = oom.number;
	found->over_request = 0;
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

	if (found->cgroup_id != id || found->oom != oom.number)
		find_standing(cgrp, found);
	return found;
}

#endif /* OOMPOLICY_STANDING_BPF_H */
