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
#include "read.bpf.h"
#include "standing.bpf.h"
#ifndef OOMPOLICY_OBSERVE_ONLY
#include "compare.bpf.h"
#include "wait.bpf.h"
#endif

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
	record->pgtables_bytes = READ(mm, pgtables_bytes.counter);
	if (!oom.oc)
		return;
	oc = TYPED((void *)oom.oc, struct oom_control);
	record->total_pages = READ(oc, totalpages);
	record->badness = badness_of(mm, record->oom_score_adj, READ(oc, totalpages) / 1000);
}

static __always_inline void fill_cgroups(struct oompolicy_victim *record, struct cgroup *cgrp)
{
	record->victim_cgroup_id = cgroup_id(cgrp);
	record->level = READ(cgrp, level);
	fill_ids(record->cgroup_ids, cgrp);
	for (u32 i = 1; i < OOMPOLICY_LEVELS && i <= record->level; i++)
		bpf_probe_read_kernel_str(record->cgroup_names[i], OOMPOLICY_NAME, READ(ancestor_at(cgrp, i), kn, name));
}

static __always_inline void fill_trigger(struct oompolicy_victim *record)
{
	struct task_struct *trigger = current_task();
	struct cgroup *cgrp = cgroup_of(trigger);

	record->trigger_tgid = READ(trigger, tgid);
	record->trigger_cgroup_id = cgroup_id(cgrp);
	record->trigger_level = READ(cgrp, level);
	fill_ids(record->trigger_cgroup_ids, cgrp);
	bpf_probe_read_kernel_str(record->trigger_comm, OOMPOLICY_COMM, trigger->comm);
}

/*
 * At the first victim, the kernel still holds the task that it chose. If the
 * kernel kills a group, it releases that task before it marks the other
 * members.
 */
static __always_inline void look_at_chosen(struct task_struct *victim, struct oom_control *oc)
{
	struct task_struct *chosen = READ(oc, chosen);

	oom.marked = true;
	if (!chosen || chosen == (void *)-1UL)
		return;
#ifdef OOMPOLICY_OBSERVE_ONLY
	oom.chosen_tgid = READ(chosen, tgid);
#else
	judge_choice(victim, bpf_core_cast(chosen, struct task_struct), oc);
#endif
}

static __always_inline void fill_selection(struct oompolicy_victim *record)
{
	struct oom_control *oc = TYPED((void *)oom.oc, struct oom_control);

	if (!oom.oc) {
		record->flags |= OOMPOLICY_VICTIM_NO_SCOPE;
		return;
	}
	if (is_confined(oc))
		record->flags |= OOMPOLICY_VICTIM_CONSTRAINED;
	if (oom.chosen_tgid != record->victim_tgid)
		record->flags |= OOMPOLICY_VICTIM_GROUP;
#ifndef OOMPOLICY_OBSERVE_ONLY
	fill_rules(record);
#endif
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

static __always_inline void fill_record(struct oompolicy_victim *record, struct task_struct *task)
{
	struct standing *standing = standing_of(task);

	record->boottime_ns = bpf_ktime_get_boot_ns();
	record->start_boottime_ns = READ(task, group_leader, start_boottime);
	record->scope_cgroup_id = oom.scope_cgroup_id;
	record->victim_tgid = READ(task, tgid);
	record->victim_pid = READ(task, pid);
	record->victim_uid = READ(task, cred, uid.val);
	record->oom_score_adj = READ(task, signal, oom_score_adj);
	record->priority = standing->priority;
	record->priority_level = standing->level;
	record->spared_level = OOMPOLICY_NO_LEVEL;
	bpf_probe_read_kernel_str(record->victim_comm, OOMPOLICY_COMM, task->comm);
	fill_memory(record, task);
	fill_cgroups(record, cgroup_of(task));
	fill_trigger(record);
	fill_selection(record);
}

/* The program did not see this OOM begin. The new number discards the standings of the OOM before. */
static __always_inline void catch_up(void)
{
	oom.number++;
	read_settings();
}

static __noinline int report(struct task_struct *task)
{
	struct oompolicy_victim *record;

	if (!oom.oc)
		catch_up();
	else if (!oom.marked)
		look_at_chosen(task, TYPED((void *)oom.oc, struct oom_control));
	if (is_repeated(READ(task, tgid), READ(task, group_leader, start_boottime)))
		return 0;
	count(OOMPOLICY_STAT_VICTIMS);
#ifndef OOMPOLICY_OBSERVE_ONLY
	if (oom.oc)
		await(task);
#endif
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
