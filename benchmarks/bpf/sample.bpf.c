// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policy that the RFC of 2023 shows as its sample, written anew to be
 * compared with: the priorities of two leaf cgroups, looked up at each call.
 *
 * Two changes let it work on a node: the key is the whole id of the cgroup
 * v2 (not of the cpu controller), and the map has room for a node. The part
 * that lets the first scan fail, for the test of the RFC, is left out.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

enum {
	NO_OPINION = 0,
	SKIP = 2,
	TAKE = 3,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __s32);
} leaf_priority SEC(".maps");

/* A cgroup without an entry has the lowest priority. */
static __always_inline s32 priority_of(struct task_struct *task)
{
	u64 leaf = task->cgroups->dfl_cgrp->kn->id;
	s32 *entry = bpf_map_lookup_elem(&leaf_priority, &leaf);

	return entry ? *entry : 0;
}

SEC("fmod_ret/bpf_oom_evaluate_task")
int BPF_PROG(compare_leaves, struct task_struct *task, struct oom_control *oc, int ret)
{
	struct task_struct *chosen = oc->chosen;
	s32 standing, other;

	if (!chosen)
		return TAKE;
	standing = priority_of(chosen);
	other = priority_of(task);
	if (other < standing)
		return TAKE;
	return other > standing ? SKIP : NO_OPINION;
}
