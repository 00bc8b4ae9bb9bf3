/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Map values and ring-buffer records: the contract between the BPF program
 * and user space. The only copy: agent/oompolicy_agent/kernel/layout.py states the
 * same in ctypes and is compared with this file's BTF by a unit test and at
 * the start of loader and agent.
 *
 * Widest field first, fixed-width types only, no implicit padding.
 */
#ifndef OOMPOLICY_H
#define OOMPOLICY_H

/* Pinned as maps/<name> below /sys/fs/bpf/oompolicy. */
#define OOMPOLICY_MAX_ENTRIES	65536
#define OOMPOLICY_EVENTS_BYTES	(2 * 1024 * 1024)
#define OOMPOLICY_CGROUPS_BYTES	(256 * 1024)

#define OOMPOLICY_PRIORITY_MAX	1000
#define OOMPOLICY_HOST_PRIORITY	1000

/*
 * A container sits at level 4 on most nodes and at level 8 where a node is
 * itself a container with a cgroup root of its own.
 */
#define OOMPOLICY_LEVELS	12
/* "cri-containerd-" + 64 hex digits + ".scope" is 85. */
#define OOMPOLICY_NAME		96
#define OOMPOLICY_COMM		16

/* cgroup_priority: hash, u64 cgroup id -> struct oompolicy_entry */
struct oompolicy_entry {
	__u64 memory_request;	/* bytes */
	__s32 priority;
	__u32 flags;		/* none defined: 0 */
};

/* settings: array of one */
struct oompolicy_settings {
	__s32 host_priority;
	__u32 page_shift;	/* 0 until the loader wrote the settings: the defaults hold */
};

/* stats: per-CPU array, one u64 per index */
enum oompolicy_stat {
	OOMPOLICY_STAT_SELECTIONS,	/* OOMs in which the hook was asked */
	OOMPOLICY_STAT_EVALUATIONS,	/* tasks the hook was asked about */
	OOMPOLICY_STAT_SELECT,		/* answers BPF_EVAL_SELECT */
	OOMPOLICY_STAT_NEXT,		/* answers BPF_EVAL_NEXT */
	OOMPOLICY_STAT_NO_POLICY,	/* answers NO_BPF_POLICY */
	OOMPOLICY_STAT_VICTIMS,		/* processes that the OOM killer killed, each counted once */
	OOMPOLICY_STAT_VICTIMS_DROPPED,	/* of these: no room in events */
	OOMPOLICY_STAT_CGROUPS_DROPPED,	/* announcements: no room in cgroups */
	OOMPOLICY_STAT_ENTRIES_DELETED,	/* entries gone with their cgroup */
	OOMPOLICY_STAT_BYPASSED,	/* victims of an OOM that never asked the hook */
	OOMPOLICY_STAT_NOBODY,		/* scans that chose nobody */
	OOMPOLICY_STAT_DYING,		/* marked as victims while they were dying already: nobody killed them for it */
	OOMPOLICY_STAT_COUNT,
};

enum oompolicy_victim_flag {
	/* The hook was asked in this OOM: spared_*, priority_* are of its scan. */
	OOMPOLICY_VICTIM_SELECTED = 1 << 0,
	/* The kernel alone would have chosen the task in spared_*. */
	OOMPOLICY_VICTIM_CHANGED = 1 << 1,
	/* Killed with the chosen task by memory.oom.group. */
	OOMPOLICY_VICTIM_GROUP = 1 << 2,
	/* The spared task has an entry, or an ancestor that has one. */
	OOMPOLICY_VICTIM_SPARED_ENTRY = 1 << 3,
	/* The OOM came from a cpuset or memory policy, not from the whole node. */
	OOMPOLICY_VICTIM_CONSTRAINED = 1 << 4,
	/* The program did not see this OOM begin: scope, total_pages and the other flags are unknown. */
	OOMPOLICY_VICTIM_NO_SCOPE = 1 << 5,
};

/*
 * As priority_level: no ancestor of the victim has an entry, so it has the
 * host's priority. As trigger_level and spared_level: the cgroups are unknown.
 */
#define OOMPOLICY_NO_LEVEL	0xffffffffu

/*
 * events: ring buffer of struct oompolicy_victim, one per process that the OOM
 * killer counts in /proc/vmstat's oom_kill. A process that is killed only
 * because it shares the memory of a victim has none: the kernel marks and
 * counts the victim alone.
 */
struct oompolicy_victim {
	__u64 boottime_ns;		/* CLOCK_BOOTTIME of the kill */
	__u64 start_boottime_ns;	/* of the victim: with its tgid its identity */
	__u64 victim_cgroup_id;
	__u64 scope_cgroup_id;		/* whose limit; 0: the node */
	__u64 trigger_cgroup_id;
	__u64 spared_cgroup_id;
	__u64 anon_pages;
	__u64 file_pages;
	__u64 shmem_pages;
	__u64 swap_pages;
	__u64 pgtables_bytes;
	__u64 total_pages;		/* what the scope may hold, as badness sees it */
	__u64 cgroup_ids[OOMPOLICY_LEVELS];	/* [0] is the root */
	__u64 trigger_cgroup_ids[OOMPOLICY_LEVELS];
	__u64 spared_cgroup_ids[OOMPOLICY_LEVELS];
	__s64 badness;			/* pages, oom_score_adj included */
	__s64 spared_badness;
	__u32 victim_tgid;
	__u32 victim_pid;
	__u32 victim_uid;
	__u32 trigger_tgid;
	__u32 spared_tgid;
	__s32 priority;
	__s32 spared_priority;
	__s32 oom_score_adj;
	__u32 flags;			/* enum oompolicy_victim_flag */
	__u32 level;			/* of the victim's cgroup; the root is 0 */
	__u32 priority_level;		/* where its entry stands, or OOMPOLICY_NO_LEVEL */
	__u32 candidates;		/* tasks the hook was asked about */
	__u32 trigger_level;
	__u32 spared_level;
	char victim_comm[OOMPOLICY_COMM];
	char trigger_comm[OOMPOLICY_COMM];
	char spared_comm[OOMPOLICY_COMM];
	/* kernfs names from the root down; cgroup_names[0] is empty */
	char cgroup_names[OOMPOLICY_LEVELS][OOMPOLICY_NAME];
};
_Static_assert(sizeof(struct oompolicy_victim) == 1656, "oompolicy_victim");
_Static_assert(sizeof(struct oompolicy_entry) == 16, "oompolicy_entry");
_Static_assert(sizeof(struct oompolicy_settings) == 8, "oompolicy_settings");

enum oompolicy_cgroup_change {
	OOMPOLICY_CGROUP_MKDIR = 1,
	OOMPOLICY_CGROUP_RMDIR = 2,
};

/* cgroups: ring buffer of struct oompolicy_cgroup, cgroup v2 only */
struct oompolicy_cgroup {
	__u64 cgroup_id;
	__u64 parent_id;
	__u32 change;			/* enum oompolicy_cgroup_change */
	__u32 level;
};
_Static_assert(sizeof(struct oompolicy_cgroup) == 24, "oompolicy_cgroup");

#endif /* OOMPOLICY_H */
