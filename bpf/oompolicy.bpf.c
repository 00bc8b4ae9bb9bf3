// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strict priorities for the OOM killer, and a record of every victim.
 *
 * The programs stand in the order of an OOM: it begins, the kernel marks a
 * victim, it ends. The answers to the hook, between the first two, are in
 * policy.bpf.h. The last two programs follow the cgroups of the node.
 *
 * This file is compiled twice. With OOMPOLICY_OBSERVE_ONLY the object records
 * victims and leaves the choice to the kernel.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "badness.bpf.h"
#include "maps.bpf.h"
#include "oom.bpf.h"
#include "oompolicy.h"
#include "record.bpf.h"
#include "standing.bpf.h"
#include "victim.bpf.h"
#ifndef OOMPOLICY_OBSERVE_ONLY
/*
 * The programs of the policy come before oom_begins, because bpftool attaches
 * programs in the order of this file. If oom_begins sees an OOM begin,
 * evaluate_task is attached already and sees every task of that OOM. In the
 * opposite order evaluate_task might see only some of the tasks, and a record
 * might name the wrong task as spared.
 */
#include "policy.bpf.h"
#endif

char LICENSE[] SEC("license") = "GPL";

SEC("fentry/out_of_memory")
int BPF_PROG(oom_begins, struct oom_control *oc)
{
	struct mem_cgroup *memcg = oc->memcg;

	oom.oc = (u64)oc;
	oom.scope_cgroup_id = memcg ? cgroup_id(memcg->css.cgroup) : 0;
	oom.number++;
	oom.points_per_adj = 0;
	oom.chosen.task = 0;
	oom.last.task = 0;
	oom.kernel_choice.candidate.task = 0;
	oom.kernel_choice.candidate.badness = LOWEST_BADNESS;
	oom.policy_choice.candidate.task = 0;
	oom.policy_choice.candidate.rank = HIGHEST_RANK;
	oom.runner_up = LOWEST_BADNESS;
	oom.chosen_tgid = 0;
	oom.marked = false;
	oom.walks = 0;
	oom.compared = SAME;
	oom.unsure = false;
	oom.waiting = false;
	expect_kills();
	read_settings();
	notice_proof();
	__builtin_memset(oom.answers, 0, sizeof(oom.answers));
	return 0;
}

SEC("tp_btf/mark_victim")
int victim_marked(u64 *ctx)
{
	if (oom.proof)
		return 0;
	if (mark_has_task())
		return take_mark((struct task_struct *)ctx[0]);
	return take_mark_of_pid(ctx[0]);
}

SEC("fexit/out_of_memory")
int BPF_PROG(oom_ends, struct oom_control *oc)
{
	u32 asked = candidates();
	bool proof = oom.proof;

	oom.oc = 0;
	oom.scope_cgroup_id = 0;
	oom.proof = false;
	expect_no_kills();
	if (!proof && oom.waiting)
		count(OOMPOLICY_STAT_WAITS);
	if (!asked || proof)
		return 0;
	count(OOMPOLICY_STAT_SELECTIONS);
	add(OOMPOLICY_STAT_EVALUATIONS, asked);
	add(OOMPOLICY_STAT_SELECT, oom.answers[BPF_EVAL_SELECT]);
	add(OOMPOLICY_STAT_NEXT, oom.answers[BPF_EVAL_NEXT]);
	add(OOMPOLICY_STAT_NO_POLICY, oom.answers[NO_BPF_POLICY]);
	return 0;
}

static __always_inline void announce(struct cgroup *cgrp, u32 change)
{
	struct cgroup_subsys_state *parent = cgrp->self.parent;
	struct oompolicy_cgroup *record;

	record = bpf_ringbuf_reserve(&cgroups, sizeof(*record), 0);
	if (!record) {
		count(OOMPOLICY_STAT_CGROUPS_DROPPED);
		return;
	}
	record->cgroup_id = cgroup_id(cgrp);
	record->parent_id = parent ? cgroup_id(parent->cgroup) : 0;
	record->change = change;
	record->level = cgrp->level;
	bpf_ringbuf_submit(record, 0);
}

/* Each hierarchy of cgroup v1 numbers its cgroups on its own, so its ids are also those of other cgroups. */
static __always_inline bool is_v2(struct cgroup *cgrp)
{
	return cgrp->root->hierarchy_id == 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgrp)
{
	if (is_v2(cgrp))
		announce(cgrp, OOMPOLICY_CGROUP_MKDIR);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgrp)
{
	u64 id;

	if (!is_v2(cgrp))
		return 0;
	id = cgroup_id(cgrp);
	if (!bpf_map_delete_elem(&cgroup_priority, &id))
		count(OOMPOLICY_STAT_ENTRIES_DELETED);
	announce(cgrp, OOMPOLICY_CGROUP_RMDIR);
	return 0;
}
