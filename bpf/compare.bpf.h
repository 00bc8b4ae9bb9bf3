/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which task the rule that does not apply would have chosen: the kernel's, or
 * in the mode AUDIT the policy's. The observing object does not include this
 * file, because without the hook it knows no candidate.
 */
#ifndef OOMPOLICY_COMPARE_BPF_H
#define OOMPOLICY_COMPARE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "badness.bpf.h"
#include "oom.bpf.h"
#include "standing.bpf.h"

/* Return the choice of the rule that does not apply in this OOM. */
static __always_inline struct choice *other_choice(void)
{
	return oom.mode == OOMPOLICY_MODE_AUDIT ? &oom.policy_choice : &oom.kernel_choice;
}

/*
 * The task may have exited since the scan, and its memory may hold another
 * task now. So the tgid and the cgroup are compared before the record takes
 * more from the task.
 */
static __always_inline void fill_spared(struct oompolicy_victim *record)
{
	struct choice *spared = other_choice();
	struct task_struct *task = bpf_core_cast((void *)spared->candidate.task, struct task_struct);
	struct cgroup *cgrp;

	record->flags |= OOMPOLICY_VICTIM_CHANGED;
	record->spared_tgid = spared->candidate.tgid;
	record->spared_cgroup_id = spared->standing.cgroup_id;
	record->spared_badness = spared->candidate.badness;
	record->spared_priority = spared->standing.priority;
	if (spared->standing.level != OOMPOLICY_NO_LEVEL)
		record->flags |= OOMPOLICY_VICTIM_SPARED_ENTRY;
	if ((u32)task->tgid != spared->candidate.tgid)
		return;
	bpf_probe_read_kernel_str(record->spared_comm, OOMPOLICY_COMM, task->comm);
	cgrp = cgroup_of(task);
	if (cgroup_id(cgrp) != spared->standing.cgroup_id)
		return;
	record->spared_level = cgrp->level;
	fill_ids(record->spared_cgroup_ids, cgrp);
}

/*
 * Return true if the values leave a doubt about the choice of the other rule.
 *
 * The kernel's choice is computed from numbers that may differ from the
 * kernel's own. The policy's choice in the mode AUDIT needs no such margin: it
 * has a lower rank than the kernel's. But the description of the kernel's
 * choice must be right, because its rank is compared.
 */
static __always_inline bool is_doubtful(struct task_struct *chosen)
{
	if (oom.unsure)
		return true;
	if (oom.mode == OOMPOLICY_MODE_AUDIT)
		return oom.kernel_choice.candidate.task != (u64)chosen;
	return oom.kernel_choice.candidate.badness - oom.runner_up <= uncertainty();
}

/* Compare the chosen task with the choice of the rule that does not apply in this OOM. */
static __always_inline enum comparison compare(struct task_struct *victim, struct task_struct *chosen)
{
	struct choice *other = other_choice();
	struct task_struct *spared = bpf_core_cast((void *)other->candidate.task, struct task_struct);

	/* A task with oom_task_origin dies first, with or without a policy. */
	if (BPF_CORE_READ_BITFIELD(chosen->signal, oom_flag_origin))
		return SAME;
	if (is_doubtful(chosen))
		return UNSURE;
	if (!spared || other->candidate.tgid == oom.chosen_tgid)
		return SAME;
	/* The kernel would have waited for a task that is ending, and killed no other. */
	if (other->candidate.ending)
		return UNSURE;
	/* Among tasks of one rank, the policy chooses as the kernel does, unless the requests decide. */
	if (oom.mode == OOMPOLICY_MODE_AUDIT && other->candidate.rank == oom.kernel_choice.candidate.rank &&
	    other->candidate.over_request == oom.kernel_choice.candidate.over_request)
		return SAME;
	return dies_with_the_victim(cgroup_of(spared), cgroup_of(victim)) ? SAME : DIFFERENT;
}

static __always_inline void fill_rules(struct oompolicy_victim *record)
{
	if (!candidates()) {
		count(OOMPOLICY_STAT_BYPASSED);
		return;
	}
	record->candidates = candidates();
	if (oom.mode != OOMPOLICY_MODE_ENFORCE && oom.mode != OOMPOLICY_MODE_AUDIT) {
		record->flags |= OOMPOLICY_VICTIM_OFF;
		return;
	}
	if (oom.mode == OOMPOLICY_MODE_AUDIT)
		record->flags |= OOMPOLICY_VICTIM_AUDIT;
	record->flags |= OOMPOLICY_VICTIM_SELECTED;
	if (oom.compared == UNSURE)
		record->flags |= OOMPOLICY_VICTIM_UNSURE;
	if (oom.compared == DIFFERENT)
		fill_spared(record);
}

/* Compare the chosen task with the other rule's choice. */
static __always_inline void judge_choice(struct task_struct *victim, struct task_struct *chosen, struct oom_control *oc)
{
	oom.chosen_tgid = chosen->tgid;
	/* Under a cpuset or memory policy, the kernel could not have chosen every task that the program saw. */
	if (is_confined(oc))
		oom.unsure = true;
	oom.compared = compare(victim, chosen);
}

#endif /* OOMPOLICY_COMPARE_BPF_H */
