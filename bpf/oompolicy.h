/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Map values and ring-buffer records: the contract between the BPF program
 * and user space.
 *
 * agent/oompolicy_agent/kernel/layout.py states the same layouts in ctypes. A
 * unit test compares it with this file. Loader and agent compare it with the
 * BTF of the object when they start.
 *
 * The widest fields come first, all types have a fixed width, and no struct
 * has implicit padding.
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
 * A container's cgroup is at level 4 on most nodes. It is at level 8 if the
 * node is itself a container with its own cgroup root.
 */
#define OOMPOLICY_LEVELS	12
/* "cri-containerd-", 64 hex digits and ".scope" are 85 characters. */
#define OOMPOLICY_NAME		96
#define OOMPOLICY_COMM		16

/* cgroup_priority: hash, u64 cgroup id -> struct oompolicy_entry */
struct oompolicy_entry {
	__u64 memory_request;	/* bytes */
	__s32 priority;
	__u32 flags;		/* enum oompolicy_entry_flag */
};

enum oompolicy_entry_flag {
	/*
	 * The loader's proof. In an OOM of this cgroup the mode is ENFORCE
	 * without a minimum and a tie-break, regardless of the settings. The
	 * victims have no record and no counter counts them.
	 */
	OOMPOLICY_ENTRY_PROOF = 1 << 0,
};

/* An unknown mode is OFF. */
enum oompolicy_mode {
	OOMPOLICY_MODE_OFF,	/* the kernel chooses */
	OOMPOLICY_MODE_AUDIT,	/* the kernel chooses, and the record names the policy's choice */
	OOMPOLICY_MODE_ENFORCE,	/* the policy chooses, and the record names the kernel's choice */
};

/* The order of tasks with the same priority. An unknown tie-break is LARGEST_MEMORY. */
enum oompolicy_tie_break {
	OOMPOLICY_LARGEST_MEMORY,	/* the kernel's badness decides */
	OOMPOLICY_MOST_OVER_REQUEST,	/* the memory of the cgroup with the entry above its request, then badness */
};

/* settings: array of one */
struct oompolicy_settings {
	__u64 minimum_victim_memory;	/* bytes. A task of a pod that frees less comes after the other tasks of pods */
	__s32 host_priority;
	__u32 page_shift;	/* 0 until the loader has written the settings. The mode is OFF until then */
	__u32 mode;		/* enum oompolicy_mode. A change applies to the next OOM */
	__u32 tie_break;	/* enum oompolicy_tie_break */
};

/* stats: per-CPU array, one u64 per index */
enum oompolicy_stat {
	OOMPOLICY_STAT_SELECTIONS,	/* OOMs in which the kernel called the hook */
	OOMPOLICY_STAT_EVALUATIONS,	/* tasks for which the kernel called the hook */
	OOMPOLICY_STAT_SELECT,		/* answers BPF_EVAL_SELECT */
	OOMPOLICY_STAT_NEXT,		/* answers BPF_EVAL_NEXT */
	OOMPOLICY_STAT_NO_POLICY,	/* answers NO_BPF_POLICY */
	OOMPOLICY_STAT_VICTIMS,		/* processes that the OOM killer killed. Each process counts once */
	OOMPOLICY_STAT_VICTIMS_DROPPED,	/* victims without a record, because events was full */
	OOMPOLICY_STAT_CGROUPS_DROPPED,	/* changes without a record, because cgroups was full */
	OOMPOLICY_STAT_ENTRIES_DELETED,	/* entries deleted with their cgroup */
	OOMPOLICY_STAT_BYPASSED,	/* victims of an OOM in which the kernel did not call the hook */
	OOMPOLICY_STAT_NOBODY,		/* scans that chose no task */
	OOMPOLICY_STAT_DYING,		/* marks of processes that were dying already, and that the kernel did not kill */
	OOMPOLICY_STAT_WAITS,		/* scans that ended without a victim, because the last one was giving its memory back */
	OOMPOLICY_STAT_COUNT,
};

enum oompolicy_victim_flag {
	/* The kernel called the hook in this OOM, and spared_* and priority_* are those of its scan. */
	OOMPOLICY_VICTIM_SELECTED = 1 << 0,
	/*
	 * Kernel and policy choose different tasks. One of them was killed, and
	 * spared_* describe the other: the kernel's choice, or in AUDIT the
	 * policy's.
	 */
	OOMPOLICY_VICTIM_CHANGED = 1 << 1,
	/* The victim was killed with the chosen task, by memory.oom.group. */
	OOMPOLICY_VICTIM_GROUP = 1 << 2,
	/* The spared task's cgroup has an entry, or one of its ancestors has one. */
	OOMPOLICY_VICTIM_SPARED_ENTRY = 1 << 3,
	/* The OOM came from a cpuset or memory policy, not from the whole node. */
	OOMPOLICY_VICTIM_CONSTRAINED = 1 << 4,
	/* The program did not see this OOM begin, so scope, total_pages and the other flags are unknown. */
	OOMPOLICY_VICTIM_NO_SCOPE = 1 << 5,
	/* The mode was AUDIT: the kernel's choice was killed. */
	OOMPOLICY_VICTIM_AUDIT = 1 << 6,
	/* The mode was OFF: the kernel's choice was killed, and the program did not compute another. */
	OOMPOLICY_VICTIM_OFF = 1 << 7,
	/* The program cannot tell whether kernel and policy choose the same task. */
	OOMPOLICY_VICTIM_UNSURE = 1 << 8,
};

/*
 * In priority_level: neither the victim's cgroup nor any of its ancestors has
 * an entry, so the victim has the host's priority. In trigger_level and
 * spared_level: the cgroups are unknown.
 */
#define OOMPOLICY_NO_LEVEL	0xffffffffu

/*
 * events: ring buffer of struct oompolicy_victim. There is one record for each
 * process that the OOM killer counts as oom_kill in /proc/vmstat. A process
 * that is killed only because it shares a victim's memory has no record: the
 * kernel marks and counts the victim alone.
 */
struct oompolicy_victim {
	__u64 boottime_ns;		/* CLOCK_BOOTTIME of the kill */
	__u64 start_boottime_ns;	/* of the victim. Together with victim_tgid it identifies the process */
	__u64 victim_cgroup_id;
	__u64 scope_cgroup_id;		/* the cgroup that reached its limit, or 0 for the node */
	__u64 trigger_cgroup_id;
	__u64 spared_cgroup_id;
	__u64 anon_pages;
	__u64 file_pages;
	__u64 shmem_pages;
	__u64 swap_pages;
	__u64 pgtables_bytes;
	__u64 total_pages;		/* the most that the scope can hold, as badness counts it */
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
	__u32 level;			/* of the victim's cgroup. The root has level 0 */
	__u32 priority_level;		/* level of the cgroup with the entry, or OOMPOLICY_NO_LEVEL */
	__u32 candidates;		/* tasks for which the kernel called the hook */
	__u32 trigger_level;
	__u32 spared_level;
	char victim_comm[OOMPOLICY_COMM];
	char trigger_comm[OOMPOLICY_COMM];
	char spared_comm[OOMPOLICY_COMM];
	/* kernfs names, from the root downwards. cgroup_names[0] is empty */
	char cgroup_names[OOMPOLICY_LEVELS][OOMPOLICY_NAME];
};
_Static_assert(sizeof(struct oompolicy_victim) == 1656, "oompolicy_victim");
_Static_assert(sizeof(struct oompolicy_entry) == 16, "oompolicy_entry");
_Static_assert(sizeof(struct oompolicy_settings) == 24, "oompolicy_settings");

enum oompolicy_cgroup_change {
	OOMPOLICY_CGROUP_MKDIR = 1,
	OOMPOLICY_CGROUP_RMDIR = 2,
};

/* cgroups: ring buffer of struct oompolicy_cgroup, for cgroup v2 only */
struct oompolicy_cgroup {
	__u64 cgroup_id;
	__u64 parent_id;
	__u32 change;			/* enum oompolicy_cgroup_change */
	__u32 level;
};
_Static_assert(sizeof(struct oompolicy_cgroup) == 24, "oompolicy_cgroup");

#endif /* OOMPOLICY_H */
