/* SPDX-License-Identifier: GPL-2.0-only */
/* From the pid of a victim to its task, on kernels before 6.9. Their tracepoint mark_victim gives a pid alone. */
#ifndef OOMPOLICY_VICTIM_BPF_H
#define OOMPOLICY_VICTIM_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "oom.bpf.h"
#include "read.bpf.h"
#include "record.bpf.h"

static __always_inline bool mark_has_task(void)
{
	return bpf_core_field_exists(struct trace_event_raw_mark_victim, uid);
}

#ifdef OOMPOLICY_OBSERVE_ONLY

/* From include/uapi/asm-generic/signal.h. BTF has no macros. */
#define SIGKILL			9

static struct {
	u64 thread;	/* the thread of the OOM under way, or 0 if the program has seen none begin */
	u64 task;	/* the last one that got SIGKILL, from that thread if it is known */
	u64 sender;
} killed;

static __always_inline void expect_kills(void)
{
	killed.thread = bpf_get_current_pid_tgid();
	killed.task = 0;
}

static __always_inline void expect_no_kills(void)
{
	killed.thread = 0;
	killed.task = 0;
}

/*
 * No helper finds the task of a pid: the kfunc bpf_task_from_pid() is of Linux
 * 6.2. But in __oom_kill_process() the OOM killer sends SIGKILL to the victim
 * right before it marks it, in the same thread, and holds the task meanwhile.
 */
SEC("tp_btf/signal_generate")
int BPF_PROG(victim_killed, int sig, struct kernel_siginfo *info, struct task_struct *task)
{
	u64 sender = bpf_get_current_pid_tgid();

	if (mark_has_task() || sig != SIGKILL || (killed.thread && killed.thread != sender))
		return 0;
	killed.task = (u64)task;
	killed.sender = sender;
	return 0;
}

/* A task that is marked without SIGKILL is dying already. */
static __always_inline int report_pid(u32 pid)
{
	struct task_struct *task = (struct task_struct *)killed.task;

	if (task && killed.sender == bpf_get_current_pid_tgid() && (u32)READ(task, pid) == pid)
		return report(task);
	count(OOMPOLICY_STAT_DYING);
	return 0;
}

#else

static __always_inline void expect_kills(void)
{
}

static __always_inline void expect_no_kills(void)
{
}

static __always_inline int report_pid(u32 pid)
{
	struct task_struct *task = bpf_task_from_pid(pid);

	if (!task)
		return 0;
	report(task);
	bpf_task_release(task);
	return 0;
}

#endif

#endif /* OOMPOLICY_VICTIM_BPF_H */
