/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The wait for the memory of the last victim.
 *
 * A dying process passes exit_mmap(). There the kernel unmaps the memory, then
 * hides the process from all scans (MMF_OOM_SKIP), and then gives the last
 * pages back (tlb_finish_mmu()), which can be 40 MB. A scan in between would
 * kill the next process for a shortage that is about to end. The bare kernel
 * does so.
 */
#ifndef OOMPOLICY_WAIT_BPF_H
#define OOMPOLICY_WAIT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "badness.bpf.h"
#include "oom.bpf.h"
#include "read.bpf.h"

/* The longest wait for one victim. A victim that holds its memory for longer may do so for ever. */
#define LONGEST_WAIT_NS		50000000ULL

/*
 * For each scope the victim of its last OOM. Of the processes that die
 * together, it is the one with the most memory. The slots are by the last bits
 * of the scope's id. A scope that finds its slot in use by another one does not
 * wait.
 */
#define AWAITED			64
static struct awaited {
	u64 oom;		/* the number of the OOM */
	u64 scope_cgroup_id;
	u64 start_boottime_ns;	/* of the process. Together with tgid it identifies the process */
	u64 since_ns;		/* the first scan that had to wait, or 0 */
	s64 pages;
	u32 tgid;		/* 0: no victim to wait for */
} awaited[AWAITED];

static __always_inline void await(struct task_struct *victim)
{
	struct awaited *slot = &awaited[oom.scope_cgroup_id % AWAITED];
	struct mm_struct *mm = mm_of(victim);
	s64 pages = mm ? badness_of(mm, 0, 0) : 0;

	if (slot->oom == oom.number && slot->pages >= pages)
		return;
	slot->oom = oom.number;
	slot->scope_cgroup_id = oom.scope_cgroup_id;
	slot->start_boottime_ns = READ(victim, group_leader, start_boottime);
	slot->since_ns = 0;
	slot->pages = pages;
	slot->tgid = READ(victim, tgid);
}

/*
 * Return true if the task still holds memory, and the kernel hides it from
 * scans or may begin to do so during this scan. Before the task exits, the
 * kernel itself waits for it.
 */
static __always_inline bool holds_memory(struct task_struct *task)
{
	struct mm_struct *mm = task->signal->oom_mm;

	/* In __mmput(), exe_file is taken away right after exit_mmap(). */
	return mm && mm->exe_file && (oom_skip(mm) || (task->flags & PF_EXITING));
}

/* Return true while the wait for the last victim of this scope is not over. It is over once for each victim. */
static __noinline bool is_waiting(void)
{
	struct awaited *slot = &awaited[oom.scope_cgroup_id % AWAITED];
	struct task_struct *task;
	bool holds;
	u64 now;

	if (!slot->tgid || slot->scope_cgroup_id != oom.scope_cgroup_id)
		return false;
	task = bpf_task_from_pid(slot->tgid);
	if (!task)
		return false;
	holds = task->start_boottime == slot->start_boottime_ns && holds_memory(task);
	bpf_task_release(task);
	if (!holds)
		return false;
	now = bpf_ktime_get_ns();
	if (!slot->since_ns)
		slot->since_ns = now;
	return now - slot->since_ns < LONGEST_WAIT_NS;
}

#endif /* OOMPOLICY_WAIT_BPF_H */
