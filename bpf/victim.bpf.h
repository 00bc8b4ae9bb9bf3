/* SPDX-License-Identifier: GPL-2.0-only */
/* Which marks are kills, and the task of a victim on kernels whose tracepoint mark_victim gives a pid alone. */
#ifndef OOMPOLICY_VICTIM_BPF_H
#define OOMPOLICY_VICTIM_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "oom.bpf.h"
#include "read.bpf.h"
#include "record.bpf.h"

/* From include/uapi/asm-generic/signal.h. BTF has no macros. */
#define SIGKILL			9

/*
 * In __oom_kill_process() the OOM killer sends SIGKILL to the victim right
 * before it marks it, in the same thread, and holds the task meanwhile. It also
 * marks processes without a SIGKILL. Such a process is dying for another reason,
 * and is marked so that it gets the memory that it needs to exit. That happens
 * when the process runs out of memory itself, and when the kernel chooses it.
 */
static __always_inline void expect_kills(void)
{
	oom.killed.thread = bpf_get_current_pid_tgid();
	oom.killed.task = 0;
}

static __always_inline void expect_no_kills(void)
{
	oom.killed.thread = 0;
	oom.killed.task = 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(victim_killed, int sig, struct kernel_siginfo *info, struct task_struct *task)
{
	u64 sender = bpf_get_current_pid_tgid();

	if (sig != SIGKILL || (oom.killed.thread && oom.killed.thread != sender))
		return 0;
	oom.killed.task = (u64)task;
	oom.killed.sender = sender;
	return 0;
}

static __always_inline struct task_struct *killed_task(void)
{
	if (oom.killed.sender != bpf_get_current_pid_tgid())
		return NULL;
	return TYPED(oom.killed.task, struct task_struct);
}

/*
 * The argument of mark_victim is a task since Linux kernel commit 72ba14deb40a
 * ("mm: update mark_victim tracepoints fields") in v6.9. In older kernels it is
 * a pid.
 */
static __always_inline bool mark_has_task(void)
{
	return bpf_core_field_exists(struct trace_event_raw_mark_victim, uid);
}

/*
 * Without the beginning of the OOM, its thread is unknown. Another thread may
 * have sent SIGKILL in between, so every mark counts as a kill.
 */
static __always_inline bool is_killed(struct task_struct *task)
{
	return !oom.oc || (u64)task == (u64)killed_task();
}

static __always_inline int take_mark(struct task_struct *task)
{
	if (is_killed(task))
		return report(task);
	count(OOMPOLICY_STAT_DYING);
	return 0;
}

#ifdef OOMPOLICY_OBSERVE_ONLY

/*
 * No helper finds the task of a pid, and the kfunc bpf_task_from_pid() is of
 * Linux 6.2. So the task is the one that got SIGKILL.
 */
static __always_inline int take_mark_of_pid(u32 pid)
{
	struct task_struct *task = killed_task();

	if (task && (u32)READ(task, pid) == pid)
		return report(task);
	count(OOMPOLICY_STAT_DYING);
	return 0;
}

#else

static __always_inline int take_mark_of_pid(u32 pid)
{
	struct task_struct *task = bpf_task_from_pid(pid);

	if (!task)
		return 0;
	take_mark(task);
	bpf_task_release(task);
	return 0;
}

#endif

#endif /* OOMPOLICY_VICTIM_BPF_H */
