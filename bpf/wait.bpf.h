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

static __always_inline void await(struct task_struct *victim)
{
	oom.awaited.start_boottime_ns = READ(victim, group_leader, start_boottime);
	oom.awaited.scope_cgroup_id = oom.scope_cgroup_id;
	oom.awaited.since_ns = 0;
	oom.awaited.tgid = READ(victim, tgid);
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
	struct task_struct *task;
	bool holds;
	u64 now;

	if (!oom.awaited.tgid || oom.awaited.scope_cgroup_id != oom.scope_cgroup_id)
		return false;
	task = bpf_task_from_pid(oom.awaited.tgid);
	if (!task)
		return false;
	holds = task->start_boottime == oom.awaited.start_boottime_ns && holds_memory(task);
	bpf_task_release(task);
	if (!holds)
		return false;
	now = bpf_ktime_get_ns();
	if (!oom.awaited.since_ns)
		oom.awaited.since_ns = now;
	return now - oom.awaited.since_ns < LONGEST_WAIT_NS;
}

#endif /* OOMPOLICY_WAIT_BPF_H */
