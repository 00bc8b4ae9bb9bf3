/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The OOM under way.
 *
 * The kernel holds oom_lock during the whole of out_of_memory(). The machine
 * therefore has one OOM at a time, and the state of that OOM is a global.
 */
#ifndef OOMPOLICY_OOM_BPF_H
#define OOMPOLICY_OOM_BPF_H

#include "maps.bpf.h"

#define DEFAULT_PAGE_SHIFT	12
/* Half of the lowest s64, so that the difference of two values does not overflow. */
#define LOWEST_BADNESS		(-(1LL << 62))
#define HIGHEST_RANK		(1LL << 62)

/* The answers of the hook. The name also finds the type in the kernel's BTF, see kernel_checks(). */
enum bpf_oom_verdict___local {
	NO_BPF_POLICY = 0,
	BPF_EVAL_ABORT = 1,
	BPF_EVAL_NEXT = 2,
	BPF_EVAL_SELECT = 3,
};

/* The priority of a cgroup's tasks, and the level of the cgroup with the entry. */
struct standing {
	u64 oom;		/* number of the OOM of the lookup: entries may change between two OOMs */
	u64 cgroup_id;
	s64 over_request;	/* pages, with OOMPOLICY_MOST_OVER_REQUEST only. 0 without an entry, and from host_priority upwards */
	s64 group_pages;	/* the memory of the cgroup that dies as a whole. 0 without one, and without a minimum */
	s32 priority;
	u32 level;		/* or OOMPOLICY_NO_LEVEL, if there is no entry */
};

/* A task that the OOM killer may choose, with its place in the order in which tasks die. */
struct candidate {
	u64 task;		/* its address. The task may have exited since, see fill_spared() */
	s64 rank;		/* the lower dies first: dying, protected or not, then priority. See rank_of() */
	s64 over_request;	/* at the same rank, the higher dies first */
	s64 badness;		/* at the same rank and over_request, the higher dies first */
	u32 tgid;
	bool ending;		/* it has received SIGKILL, or is exiting */
};

/* The choice of one rule among the tasks that the scan has reached. */
struct choice {
	struct candidate candidate;
	struct standing standing;
};

/* Whether kernel and policy choose the same task. */
enum comparison {
	SAME,
	DIFFERENT,
	UNSURE,
};

/* The last SIGKILL. See victim.bpf.h. */
struct sigkill {
	u64 thread;		/* the thread of the OOM under way, or 0 if the program has seen none begin */
	u64 task;		/* the task that got SIGKILL, from that thread if it is known */
	u64 sender;
};

static struct {
	u64 oc;				/* address of the kernel's oom_control, 0 between two OOMs */
	u64 number;
	u64 scope_cgroup_id;		/* 0: the node */
	s64 points_per_adj;		/* 0 until the first candidate */
	struct candidate chosen;	/* describes oc->chosen if its task is oc->chosen */
	struct candidate last;		/* let through last. The kernel chose it if its task is oc->chosen */
	struct choice kernel_choice;
	struct choice policy_choice;	/* in the mode AUDIT only */
	s64 runner_up;			/* badness of the next task after kernel_choice */
	u64 minimum_victim_pages;
	s32 host_priority;
	u32 page_shift;
	u32 mode;
	u32 tie_break;
	u32 answers[4];			/* by verdict. They go to stats at the end of the OOM, not at each task */
	u32 chosen_tgid;		/* set at the first victim, 0 if no task was chosen */
	struct sigkill killed;		/* kept from one OOM to the next */
	bool marked;			/* a victim was marked */
	u32 compared;			/* enum comparison. Set at the first victim */
	bool unsure;			/* a task's cpuset may have kept the kernel from choosing it */
	bool waiting;			/* the scan ends, because memory of the last victim is about to come back */
	u64 examined;			/* address of the cgroup or task that a function VERIFIED_ONCE works on */
	u32 walks;			/* over all processes, see will_free() */
	bool proof;			/* the scope is that of the loader's proof, see OOMPOLICY_ENTRY_PROOF */
} oom;

static __always_inline u32 candidates(void)
{
	return oom.answers[NO_BPF_POLICY] + oom.answers[BPF_EVAL_NEXT] + oom.answers[BPF_EVAL_SELECT];
}

static __always_inline void read_settings(void)
{
	struct oompolicy_settings *set;
	u32 zero = 0;

	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set || !set->page_shift) {
		oom.host_priority = OOMPOLICY_HOST_PRIORITY;
		oom.page_shift = DEFAULT_PAGE_SHIFT;
		oom.mode = OOMPOLICY_MODE_OFF;
		return;
	}
	oom.mode = set->mode;
	oom.tie_break = set->tie_break;
	oom.minimum_victim_pages = set->minimum_victim_memory >> (set->page_shift & 31);
	oom.host_priority = set->host_priority;
	/* The mask shows the verifier that the shift is in range. */
	oom.page_shift = set->page_shift & 31;
}

/* In the OOM of a proof the policy decides in every mode, and by priorities alone. */
static __always_inline void notice_proof(void)
{
	struct oompolicy_entry *entry = NULL;

	if (oom.scope_cgroup_id)
		entry = bpf_map_lookup_elem(&cgroup_priority, &oom.scope_cgroup_id);
	oom.proof = entry && (entry->flags & OOMPOLICY_ENTRY_PROOF);
	if (!oom.proof)
		return;
	oom.mode = OOMPOLICY_MODE_ENFORCE;
	oom.tie_break = OOMPOLICY_LARGEST_MEMORY;
	oom.minimum_victim_pages = 0;
}

#endif /* OOMPOLICY_OOM_BPF_H */
