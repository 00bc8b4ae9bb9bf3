/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps that the loader pins, and the counters in one of them. oompolicy.h describes their contents. */
#ifndef OOMPOLICY_MAPS_BPF_H
#define OOMPOLICY_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "oompolicy.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OOMPOLICY_MAX_ENTRIES);
	__type(key, __u64);
	__type(value, struct oompolicy_entry);
} cgroup_priority SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, OOMPOLICY_EVENTS_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, OOMPOLICY_CGROUPS_BYTES);
} cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OOMPOLICY_STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct oompolicy_settings);
} settings SEC(".maps");

/*
 * Loader and agent compare the BTF of struct oompolicy_cgroup with their own
 * layout. The program uses the struct through local pointers only, for which
 * clang emits no BTF. This global variable makes clang emit it.
 */
struct oompolicy_cgroup *described __attribute__((unused));

static __always_inline void add(u32 stat, u64 many)
{
	u64 *counter = bpf_map_lookup_elem(&stats, &stat);

	if (counter)
		*counter += many;
}

static __always_inline void count(u32 stat)
{
	add(stat, 1);
}

#endif /* OOMPOLICY_MAPS_BPF_H */
