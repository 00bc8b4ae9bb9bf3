// SPDX-License-Identifier: GPL-2.0-only
/*
 * One record per kill: the time from the entry of out_of_memory() to the
 * entry of oom_kill_process(). Between the two is one scan of all tasks and
 * little else. Nothing here runs per task.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct selection {
	__u64 ns;
	__u32 victim_tgid;
	__u32 in_limit;		/* 1: of a cgroup, 0: of the node */
};
_Static_assert(sizeof(struct selection) == 16, "selection");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} selections SEC(".maps");

/* out_of_memory() runs under oom_lock, so there is only one at a time. */
static u64 began;

SEC("fentry/out_of_memory")
int BPF_PROG(selection_begins, struct oom_control *oc)
{
	began = bpf_ktime_get_ns();
	return 0;
}

SEC("fentry/oom_kill_process")
int BPF_PROG(selection_ends, struct oom_control *oc, const char *message)
{
	u64 now = bpf_ktime_get_ns();
	struct selection *record;

	record = bpf_ringbuf_reserve(&selections, sizeof(*record), 0);
	if (!record)
		return 0;
	record->ns = now - began;
	record->victim_tgid = oc->chosen->tgid;
	record->in_limit = !!oc->memcg;
	bpf_ringbuf_submit(record, 0);
	return 0;
}
