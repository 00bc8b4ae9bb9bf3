/* SPDX-License-Identifier: GPL-2.0-only */
/* A task's cgroup, the cgroups above it, their memory, and the one that dies as a whole. */
#ifndef OOMPOLICY_CGROUP_BPF_H
#define OOMPOLICY_CGROUP_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "oom.bpf.h"
#include "oompolicy.h"
#include "read.bpf.h"

/* Loops over the levels of a cgroup end at this one. */
#define DEEPEST_WALKED		64

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

/* Return true if memory.oom.group is set on the cgroup. */
static __always_inline bool kills_groups(struct cgroup *cgrp)
{
	struct mem_cgroup *memcg = memcg_of(cgrp);

	return memcg && READ(memcg, oom_group);
}

#ifndef OOMPOLICY_OBSERVE_ONLY
/* Return the level of group_of() the examined cgroup, or 0. */
VERIFIED_ONCE u32 group_level(void)
{
	struct cgroup *cgrp = TYPED(oom.examined, struct cgroup);
	bool in_scope = !oom.scope_cgroup_id;

	for (u32 i = 1; i <= DEEPEST_WALKED && i <= (u32)READ(cgrp, level); i++) {
		struct cgroup *above = ancestor_at(cgrp, i);

		in_scope = in_scope || cgroup_id(above) == oom.scope_cgroup_id;
		if (in_scope && kills_groups(above))
			return i;
	}
	return 0;
}

/*
 * As mem_cgroup_get_oom_group(): return the topmost cgroup, from the scope
 * downwards, that the kernel kills as a whole if it chooses a task of this
 * one. Return NULL if the task dies alone.
 */
static __always_inline struct cgroup *group_of(struct cgroup *cgrp)
{
	u32 level;

	oom.examined = (u64)cgrp;
	level = group_level();
	return level ? ancestor_at(cgrp, level) : NULL;
}

/* Return true if the task that the kernel alone would have chosen is in the group that is killed. */
static __always_inline bool dies_with_the_victim(struct cgroup *spared, struct cgroup *victim)
{
	struct cgroup *group = group_of(victim);

	if (!group || READ(spared, level) < READ(group, level))
		return false;
	return cgroup_id(ancestor_at(spared, READ(group, level))) == cgroup_id(group);
}
#endif

#endif /* OOMPOLICY_CGROUP_BPF_H */
