/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the two objects read the kernel's structs.
 *
 * The policy runs for every task of a scan. It casts addresses with
 * bpf_rdonly_cast(), which is of Linux 6.2, and then reads fields directly.
 * The observing object runs once per victim and also loads on Linux 5.10. It
 * uses no kfunc and copies each field with a helper. An address that is not
 * that of a struct reads as 0 in both.
 */
#ifndef OOMPOLICY_READ_BPF_H
#define OOMPOLICY_READ_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/*
 * VERIFIED_ONCE marks a function with a loop. The verifier walks a global
 * function once for all of its callers, and a static one again for each state
 * of each caller, which took five times as many steps for the whole object. It
 * lets no address of a kernel object be an argument of a global function, so
 * oom.examined has the address.
 */
#ifdef OOMPOLICY_OBSERVE_ONLY
#define VERIFIED_ONCE		static __noinline
#define TYPED(address, type)	((type *)(address))
#define READ(source, ...)	BPF_CORE_READ(source, __VA_ARGS__)
#else
#define VERIFIED_ONCE		__noinline
#define TYPED(address, type)	bpf_core_cast((const void *)(address), type)
#define READ(source, ...)	___arrow((source), __VA_ARGS__)

extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;
#endif

/* bpf_get_current_task_btf() is of Linux 5.11. */
static __always_inline struct task_struct *current_task(void)
{
#ifdef OOMPOLICY_OBSERVE_ONLY
	return (struct task_struct *)bpf_get_current_task();
#else
	return bpf_get_current_task_btf();
#endif
}

#endif /* OOMPOLICY_READ_BPF_H */
