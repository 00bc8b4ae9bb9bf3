// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy that gives the answers of a test. For each task it counts how often
 * the kernel asked.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct answer {
	u64 asked;
	u32 verdict;
	u32 reserved;
};

/* By tgid. The answer for 0 is for all tasks without an answer of their own. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct answer);
} answers SEC(".maps");

SEC("fmod_ret/bpf_oom_evaluate_task")
int BPF_PROG(answer_from_map, struct task_struct *task, struct oom_control *oc)
{
	u32 tgid = task->tgid, others = 0;
	struct answer *found = bpf_map_lookup_elem(&answers, &tgid);

	if (!found)
		found = bpf_map_lookup_elem(&answers, &others);
	if (!found)
		return 0;
	__sync_fetch_and_add(&found->asked, 1);
	return found->verdict;
}
