/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules of the kernel that the program repeats: how the OOM killer measures a
 * task, and which tasks it passes over or kills together. The comments name
 * the kernel's functions.
 */
#ifndef OOMPOLICY_BADNESS_BPF_H
#define OOMPOLICY_BADNESS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "oom.bpf.h"
#include "read.bpf.h"

/* From include/linux/sched.h, sched/signal.h and mm_types.h. BTF has no macros. */
#define MMF_OOM_SKIP		21
#define PF_EXITING		0x00000004
#define SIGNAL_GROUP_EXIT	0x00000004

#define MAX_THREADS		64
/* The most walks over all processes in one OOM. A task that ends has its memory for a moment, so few are needed. */
#define MAX_WALKS		64
#define MAX_CPUS		8192
#define MAX_NODEMASK_WORDS	16

/*
 * mm_struct.flags became a bitmap of its own type in v6.18. The first word is
 * the same in both.
 */
struct mm_struct___word {
	unsigned long flags;
} __attribute__((preserve_access_index));

struct mm_struct___bitmap {
	struct {
		unsigned long __mm_flags[1];
	} flags;
} __attribute__((preserve_access_index));

#ifdef OOMPOLICY_OBSERVE_ONLY
/* Each counter of memory was one number before v6.2, and is one per CPU since. The policy needs a newer kernel. */
struct mm_struct___atomic {
	struct {
		struct {
			long counter;
		} count[NR_MM_COUNTERS];
	} rss_stat;
} __attribute__((preserve_access_index));
#endif

/* As find_lock_task_mm(): a process lives on after its first thread has exited. */
static __noinline struct mm_struct *mm_of_another_thread(struct task_struct *task)
{
	struct list_head *head = &READ(task, signal)->thread_head;
	struct list_head *node = READ(head, next);

	for (int i = 0; i < MAX_THREADS && node && node != head; i++) {
		struct task_struct *thread;

		thread = TYPED((void *)node - bpf_core_field_offset(task->thread_node), struct task_struct);
		if (READ(thread, mm))
			return READ(thread, mm);
		node = READ(thread, thread_node.next);
	}
	return NULL;
}

static __always_inline struct mm_struct *mm_of(struct task_struct *task)
{
	return READ(task, mm) ?: mm_of_another_thread(task);
}

static __always_inline s64 counted(struct mm_struct *mm, int member)
{
#ifdef OOMPOLICY_OBSERVE_ONLY
	struct mm_struct___atomic *atomic = (void *)mm;
	s64 pages = 0;

	if (bpf_core_field_exists(atomic->rss_stat.count)) {
		void *counts = (void *)mm + bpf_core_field_offset(atomic->rss_stat.count);

		bpf_probe_read_kernel(&pages, sizeof(pages), counts + member * sizeof(pages));
		return pages;
	}
#endif
	return READ(mm, rss_stat[member].count);
}

/* As get_mm_counter(). Kernels of the 7 series sum the counters of all CPUs instead, see uncertainty(). */
static __always_inline s64 counter(struct mm_struct *mm, int member)
{
	s64 pages = counted(mm, member);

	return pages > 0 ? pages : 0;
}

/* As oom_badness(). */
static __always_inline s64 badness_of(struct mm_struct *mm, s32 adj, s64 points_per_adj)
{
	s64 pages = counter(mm, MM_FILEPAGES) + counter(mm, MM_ANONPAGES) +
		    counter(mm, MM_SHMEMPAGES) + counter(mm, MM_SWAPENTS) +
		    (READ(mm, pgtables_bytes.counter) >> (oom.page_shift & 31));

	return pages + adj * points_per_adj;
}

/* As oom_badness() tests MMF_OOM_SKIP. */
static __always_inline bool oom_skip(struct mm_struct *mm)
{
	struct mm_struct___word *word = (void *)mm;
	struct mm_struct___bitmap *bitmap = (void *)mm;
	u64 flags;

	if (bpf_core_field_exists(word->flags))
		flags = word->flags;
	else
		flags = bitmap->flags.__mm_flags[0];
	return flags & (1UL << MMF_OOM_SKIP);
}

/* As in_vfork(): the task still runs in its parent's memory. */
static __always_inline bool in_vfork(struct task_struct *task)
{
	return task->vfork_done && task->real_parent->mm == task->mm;
}

/* Return true if the task passes the checks that oom_badness() makes of its memory. */
static __always_inline bool can_die(struct task_struct *task)
{
	struct mm_struct *mm = mm_of(task);

	return mm && !oom_skip(mm) && !in_vfork(task);
}

/* As __task_will_free_mem(). */
static __always_inline bool is_ending(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	if (signal->core_state)
		return false;
	return (signal->flags & SIGNAL_GROUP_EXIT) || (signal->nr_threads == 1 && (task->flags & PF_EXITING));
}

#ifndef OOMPOLICY_OBSERVE_ONLY
/* From kernel/bpf/task_iter.c. The kfuncs are of Linux 6.7. */
#define ALL_PROCESSES		0
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, unsigned int flags) __ksym __weak;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym __weak;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym __weak;

/* Return 1 if a process that is not ending shares the memory of the examined task. */
VERIFIED_ONCE int is_shared(void)
{
	struct task_struct *task = TYPED(oom.examined, struct task_struct);
	struct mm_struct *mm = mm_of(task);
	struct bpf_iter_task all;
	struct task_struct *other;
	int shared = 0;

	bpf_iter_task_new(&all, NULL, ALL_PROCESSES);
	while ((other = bpf_iter_task_next(&all))) {
		if (other->signal == task->signal || mm_of(other) != mm || is_ending(other))
			continue;
		shared = 1;
		break;
	}
	bpf_iter_task_destroy(&all);
	return shared;
}

/*
 * As task_will_free_mem(). The answer is false if another process shares the
 * memory and lives on: the kernel kills that process with this one.
 *
 * mm_users also counts users that are no process, for example a device of
 * vhost. So a high number alone says nothing, and the function looks at all
 * processes, as the kernel does. The number of these walks in one OOM is
 * limited. After the last one the numbers alone decide.
 */
static __always_inline bool will_free(struct task_struct *task, struct mm_struct *mm)
{
	if (!is_ending(task))
		return false;
	if (mm->mm_users.counter <= 1)
		return true;
	if (!bpf_ksym_exists(bpf_iter_task_new) || oom.walks >= MAX_WALKS)
		return mm->mm_users.counter <= task->signal->nr_threads;
	oom.walks++;
	oom.examined = (u64)task;
	return !is_shared();
}
#endif

/*
 * As oom_cpuset_eligible(): if the node is out of memory, the kernel passes
 * over a task that has no memory node in common with the current task. Each
 * thread may have its own memory nodes. This function reads the first thread's.
 */
static __always_inline bool shares_a_node(struct task_struct *task)
{
	u32 offset = bpf_core_field_offset(task->mems_allowed);
	void *theirs = (void *)task + offset;
	void *ours = (void *)current_task() + offset;

	for (u32 i = 0; i < MAX_NODEMASK_WORDS; i++) {
		u64 a = 0, b = 0;

		if (i * sizeof(a) >= bpf_core_field_size(task->mems_allowed))
			break;
		bpf_probe_read_kernel(&a, sizeof(a), theirs + i * sizeof(a));
		bpf_probe_read_kernel(&b, sizeof(b), ours + i * sizeof(b));
		if (a & b)
			return true;
	}
	return false;
}

/* Return true if a cpuset or memory policy started the OOM. The kernel then passes over tasks outside of it. */
static __always_inline bool is_confined(struct oom_control *oc)
{
	return READ(oc, constraint) == CONSTRAINT_CPUSET || READ(oc, constraint) == CONSTRAINT_MEMORY_POLICY;
}

static long is_no_cpu(u32 cpu, void *unused)
{
	u32 any = 0;

	return !bpf_map_lookup_percpu_elem(&stats, &any, cpu);
}

/* Kernels of the 7 series sum the counters of all CPUs. They have flags of the newer type, as 6.18 has. */
static __always_inline bool may_sum(void)
{
	struct mm_struct___bitmap *mm = NULL;

	return bpf_core_field_exists(mm->flags.__mm_flags);
}

/*
 * Return the largest difference in badness, in pages, at which the order of
 * two tasks may be the opposite for the kernel. Each CPU holds back up to
 * percpu_counter_batch pages of a counter, and the batch is that of
 * compute_batch_value(). A kernel that sums the counters of all CPUs differs by
 * that in each of the four counters of both tasks. Another kernel reads the
 * same values as the program, a moment earlier or later.
 */
static __always_inline s64 uncertainty(void)
{
	/* The loop ends at the first number that is no CPU, and counts that number too. */
	s64 cpus = bpf_loop(MAX_CPUS, is_no_cpu, NULL, 0) - 1;
	s64 batch = cpus > 16 ? cpus * 2 : 32;

	return 2 * (may_sum() ? NR_MM_COUNTERS : 1) * cpus * batch;
}

#endif /* OOMPOLICY_BADNESS_BPF_H */
