/* SPDX-License-Identifier: GPL-2.0-only */
/* The record of a victim: which process died, in which cgroup, because of which task, and which task was spared. */
#ifndef OOMPOLICY_RECORD_BPF_H
#define OOMPOLICY_RECORD_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "badness.bpf.h"
#include "oom.bpf.h"
#include "standing.bpf.h"

/* The processes that were reported last, in slots by the last bits of their pid. */
#define REPORTED		4096
static struct {
	u64 start_boottime_ns;
	u32 tgid;
} reported[REPORTED];

static const struct oompolicy_victim no_victim;

static __always_inline void fill_memory(struct oompolicy_victim *record, struct task_struct *task)
{
	struct mm_struct *mm = mm_of(task);
	struct oom_control *oc;

	if (!mm)
		return;
	record->anon_pages = counter(mm, MM_ANONPAGES);
	record->file_pages = counter(mm, MM_FILEPAGES);
	record->shmem_pages = counter(mm, MM_SHMEMPAGES);
	record->swap_pages = counter(mm, MM_SWAPENTS);
	record->pgtables_bytes = mm->pgtables_bytes.counter;
	if (!oom.oc)
		return;
	oc = bpf_core_cast((void *)oom.oc, struct oom_control);
	record->total_pages = oc->totalpages;
	record->badness = badness_of(mm, record->oom_score_adj, oc->totalpages / 1000);
}

static __always_inline void fill_ids(u64 *ids, struct cgroup *cgrp)
{
	for (u32 i = 0; i < OOMPOLICY_LEVELS && i <= (u32)cgrp->level; i++)
		ids[i] = cgroup_id(ancestor_at(cgrp, i));
}

static __always_inline void fill_cgroups(struct oompolicy_victim *record, struct cgroup *cgrp)
{
	record->victim_cgroup_id = cgroup_id(cgrp);
	record->level = cgrp->level;
	fill_ids(record->cgroup_ids, cgrp);
	for (u32 i = 1; i < OOMPOLICY_LEVELS && i <= record->level; i++)
		bpf_probe_read_kernel_str(record->cgroup_names[i], OOMPOLICY_NAME, ancestor_at(cgrp, i)->kn->name);
}

static __always_inline void fill_trigger(struct oompolicy_victim *record)
{
	struct task_struct *trigger = bpf_get_current_task_btf();
	struct cgroup *cgrp = cgroup_of(trigger);

	record->trigger_tgid = trigger->tgid;
	record->trigger_cgroup_id = cgroup_id(cgrp);
	record->trigger_level = cgrp->level;
	fill_ids(record->trigger_cgroup_ids, cgrp);
	bpf_probe_read_kernel_str(record->trigger_comm, OOMPOLICY_COMM, trigger->comm);
}

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

static __noinline int take_chosen(struct candidate *one)
{
	oom.chosen_tgid = one->tgid;
	oom.killing = !one->unkilled;
	return 0;
}

/*
 * At the first victim, the kernel still holds the task that it chose. If the
 * kernel kills a group, it releases that task before it marks the other
 * members.
 */
static __always_inline void look_at_chosen(struct task_struct *victim, struct oom_control *oc)
{
	struct task_struct *chosen;

	oom.marked = true;
	if (!oc->chosen || oc->chosen == (void *)-1UL)
		return;
	chosen = bpf_core_cast(oc->chosen, struct task_struct);
	oom.killing = true;
	if (oom.last.task == (u64)chosen)
		take_chosen(&oom.last);
	else if (oom.chosen.task == (u64)chosen)
		take_chosen(&oom.chosen);
	else if (oom.kernel_choice.candidate.task == (u64)chosen)
		take_chosen(&oom.kernel_choice.candidate);
	else
		oom.chosen_tgid = chosen->tgid;
	/* Under a cpuset or memory policy, the kernel could not have chosen every task that the program saw. */
	if (oc->constraint == CONSTRAINT_CPUSET || oc->constraint == CONSTRAINT_MEMORY_POLICY)
		oom.unsure = true;
	oom.compared = compare(victim, chosen);
}

static __always_inline void fill_selection(struct oompolicy_victim *record)
{
	struct oom_control *oc = bpf_core_cast((void *)oom.oc, struct oom_control);

	if (!oom.oc) {
		record->flags |= OOMPOLICY_VICTIM_NO_SCOPE;
		return;
	}
	if (oc->constraint == CONSTRAINT_CPUSET || oc->constraint == CONSTRAINT_MEMORY_POLICY)
		record->flags |= OOMPOLICY_VICTIM_CONSTRAINED;
	if (oom.chosen_tgid != record->victim_tgid)
		record->flags |= OOMPOLICY_VICTIM_GROUP;
	if (!candidates()) {
#ifndef OOMPOLICY_OBSERVE_ONLY
		count(OOMPOLICY_STAT_BYPASSED);
#endif
		return;
	}
	record->candidates = candidates();
#ifndef OOMPOLICY_OBSERVE_ONLY
	if (oom.mode != OOMPOLICY_MODE_ENFORCE && oom.mode != OOMPOLICY_MODE_AUDIT) {
		record->flags |= OOMPOLICY_VICTIM_OFF;
		return;
	}
	if (oom.mode == OOMPOLICY_MODE_AUDIT)
		record->flags |= OOMPOLICY_VICTIM_AUDIT;
#endif
	record->flags |= OOMPOLICY_VICTIM_SELECTED;
	if (oom.compared == UNSURE)
		record->flags |= OOMPOLICY_VICTIM_UNSURE;
	if (oom.compared == DIFFERENT)
		fill_spared(record);
}

/*
 * The kernel marks a dying process once for each of its threads that runs out
 * of memory. It marks a process twice if it chose the process out of a group
 * that it then kills.
 */
static __always_inline bool is_repeated(u32 tgid, u64 start_boottime_ns)
{
	u32 slot = tgid % REPORTED;

	if (reported[slot].tgid == tgid && reported[slot].start_boottime_ns == start_boottime_ns)
		return true;
	reported[slot].tgid = tgid;
	reported[slot].start_boottime_ns = start_boottime_ns;
	return false;
}

/*
 * The kernel also marks processes that it does not kill. A process that is
 * dying for another reason is marked so that it gets the memory that it needs
 * to exit. That happens when the process runs out of memory itself, and when
 * the kernel chooses it.
 */
static __always_inline bool is_killed(void)
{
	return !oom.oc || oom.killing;
}

static __always_inline void fill_record(struct oompolicy_victim *record, struct task_struct *task)
{
	struct standing *standing = standing_of(task);

	record->boottime_ns = bpf_ktime_get_boot_ns();
	record->start_boottime_ns = task->group_leader->start_boottime;
	record->scope_cgroup_id = oom.scope_cgroup_id;
	record->victim_tgid = task->tgid;
	record->victim_pid = task->pid;
	record->victim_uid = task->cred->uid.val;
	record->oom_score_adj = task->signal->oom_score_adj;
	record->priority = standing->priority;
	record->priority_level = standing->level;
	record->spared_level = OOMPOLICY_NO_LEVEL;
	bpf_probe_read_kernel_str(record->victim_comm, OOMPOLICY_COMM, task->comm);
	fill_memory(record, task);
	fill_cgroups(record, cgroup_of(task));
	fill_trigger(record);
	fill_selection(record);
}

static __noinline int report(struct task_struct *task)
{
	struct oompolicy_victim *record;

	/* The program did not see this OOM begin. The new number discards the standings of the OOM before. */
	if (!oom.oc)
		oom.number++;
	else if (!oom.marked)
		look_at_chosen(task, bpf_core_cast((void *)oom.oc, struct oom_control));
	if (!is_killed()) {
		count(OOMPOLICY_STAT_DYING);
		return 0;
	}
	if (is_repeated(task->tgid, task->group_leader->start_boottime))
		return 0;
	count(OOMPOLICY_STAT_VICTIMS);
	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record) {
		count(OOMPOLICY_STAT_VICTIMS_DROPPED);
		return 0;
	}
	bpf_probe_read_kernel(record, sizeof(*record), &no_victim);
	fill_record(record, task);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

#endif /* OOMPOLICY_RECORD_BPF_H */
