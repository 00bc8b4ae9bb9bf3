// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strict priorities for the OOM killer, and a record of every victim.
 *
 * out_of_memory() runs under oom_lock from its entry to its end, so there is
 * one OOM at a time on the machine and its state can stand in globals.
 *
 * The order in which tasks die is total: first those that are dying already,
 * because the kernel waits for the memory of such a task and kills nobody,
 * then those that are not protected by oom_score_adj, then the lowest
 * priority, then the kernel's badness. Only a task that the kernel's own
 * checks let through takes part in it; about any other the answer is
 * NO_BPF_POLICY, and the kernel decides.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "oompolicy.h"

char LICENSE[] SEC("license") = "GPL";

/* include/linux/oom.h, sched.h, sched/signal.h, mm_types.h: macros, so not in BTF. */
#define OOM_SCORE_ADJ_MIN	(-1000)
#define MMF_OOM_SKIP		21
#define PF_EXITING		0x00000004
#define SIGNAL_GROUP_EXIT	0x00000004

/*
 * kubelet gives sandboxes -998 and itself -999 (pkg/kubelet/qos/policy.go).
 * Killing a sandbox frees nothing and costs the whole pod.
 */
#define PROTECTED_SCORE_ADJ	(-998)

#define DEFAULT_PAGE_SHIFT	12
/* Half of what there is, so that a difference has room. */
#define LOWEST_BADNESS		(-(1LL << 62))

/*
 * Pods and containers are above this level on any node, also on one that is
 * itself a container. A cgroup below it has an entry of its own, or that of
 * its nearest ancestor from this level upwards. A container that nests more
 * cgroups gains nothing by it, and costs no more than these steps.
 */
#define DEEPEST_INHERITED	31
#define MAX_THREADS		64
#define MAX_CPUS		8192
#define MAX_NODEMASK_WORDS	16

/* Below all other ranks, also those of the lowest priority that an s32 holds. */
#define DYING_RANK		(-(1LL << 33))

enum bpf_oom_verdict___local {
	NO_BPF_POLICY = 0,
	BPF_EVAL_NEXT = 2,
	BPF_EVAL_SELECT = 3,
};

/*
 * mm_struct.flags became a bitmap of its own type in v6.18. The first word is
 * the same in both.
 */
struct mm_struct___word {
	unsigned long flags;
} __attribute__((preserve_access_index));

struct mm_struct___bitmap {
	struct {
		unsigned long __mm_flags[1];
	} flags;
} __attribute__((preserve_access_index));

extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

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

/* Where a cgroup's tasks have their priority from. */
struct standing {
	u64 oom;		/* in which it was looked up: entries may change between two */
	u64 cgroup_id;
	s32 priority;
	u32 level;		/* of the cgroup with the entry, or OOMPOLICY_NO_LEVEL */
};

/*
 * By the last bits of the cgroup's id, which is a serial number: on the
 * node's task list a container's tasks do not follow each other.
 */
#define STANDINGS		4096
static struct standing standings[STANDINGS];

/* Where a task stands in the order of death. */
struct candidate {
	u64 task;		/* compared, never followed without a check */
	s64 rank;		/* the lower dies first: dying, protected or not, then priority */
	s64 badness;
	u32 tgid;
	bool ending;		/* it has received SIGKILL, or is exiting */
	bool unkilled;		/* chosen, it is marked and not killed */
};

/* The processes that were reported last, by the last bits of their pid. */
#define REPORTED		4096
static struct {
	u64 start_boottime_ns;
	u32 tgid;
} reported[REPORTED];

/* The OOM under way. */
static struct {
	u64 oc;
	u64 number;
	u64 scope_cgroup_id;
	s64 points_per_adj;		/* 0 until the first candidate */
	struct candidate chosen;	/* oc->chosen, if its task is that one */
	struct candidate last;		/* let through last: at oc->chosen if the kernel took it */
	struct candidate kernel_choice;
	struct standing kernel_choice_standing;
	s64 runner_up;			/* badness of the next after kernel_choice */
	s32 host_priority;
	u32 page_shift;
	u32 answers[4];			/* by verdict; added to stats when the OOM ends, not at each task */
	u32 chosen_tgid;		/* from the first victim on; 0 if none was chosen */
	bool marked;			/* a task was marked as victim */
	bool killing;			/* from the first victim on: the kernel kills, and does not only mark */
	bool changed;			/* from the first victim on: kernel_choice is spared */
	bool unsure;			/* a task may have been out of the kernel's reach by its cpuset */
} oom;

static const struct oompolicy_victim no_victim;

/* A struct that is only pointed to stays out of BTF, and loader and agent compare it with theirs. */
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

static __always_inline u32 candidates(void)
{
	return oom.answers[NO_BPF_POLICY] + oom.answers[BPF_EVAL_NEXT] + oom.answers[BPF_EVAL_SELECT];
}

static __always_inline u64 cgroup_id(struct cgroup *cgrp)
{
	return cgrp->kn->id;
}

static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	return task->cgroups->dfl_cgrp;
}

static __always_inline void read_settings(void)
{
	struct oompolicy_settings *set;
	u32 zero = 0;

	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set || !set->page_shift) {
		oom.host_priority = OOMPOLICY_HOST_PRIORITY;
		oom.page_shift = DEFAULT_PAGE_SHIFT;
		return;
	}
	oom.host_priority = set->host_priority;
	/* Masked for the verifier's sake. */
	oom.page_shift = set->page_shift & 31;
}

static __always_inline struct cgroup *ancestor_at(struct cgroup *cgrp, u32 level)
{
	void *ancestors = (void *)cgrp + bpf_core_field_offset(cgrp->ancestors);
	struct cgroup *ancestor = NULL;

	bpf_probe_read_kernel(&ancestor, sizeof(ancestor), ancestors + level * sizeof(ancestor));
	return bpf_core_cast(ancestor, struct cgroup);
}

static __always_inline bool find_at(struct cgroup *cgrp, struct standing *found)
{
	u64 id = cgroup_id(cgrp);
	struct oompolicy_entry *entry = bpf_map_lookup_elem(&cgroup_priority, &id);

	if (!entry)
		return false;
	found->priority = entry->priority;
	found->level = cgrp->level;
	return true;
}

/* The nearest entry from this cgroup up to the root. */
static __noinline int find_above(struct cgroup *cgrp, struct standing *found)
{
	for (int i = 0; i <= DEEPEST_INHERITED; i++) {
		struct cgroup_subsys_state *parent;

		if (find_at(cgrp, found))
			return 0;
		parent = cgrp->self.parent;
		if (!parent)
			break;
		/* self is what cgroup_parent() goes through */
		cgrp = bpf_core_cast((void *)parent - bpf_core_field_offset(cgrp->self), struct cgroup);
	}
	found->priority = oom.host_priority;
	found->level = OOMPOLICY_NO_LEVEL;
	return 0;
}

static __noinline int find_standing(struct cgroup *cgrp, struct standing *found)
{
	u64 id = cgroup_id(cgrp);

	found->cgroup_id = id;
	found->oom = oom.number;
	if (cgrp->level <= DEEPEST_INHERITED)
		return find_above(cgrp, found);
	return find_at(cgrp, found) ? 0 : find_above(ancestor_at(cgrp, DEEPEST_INHERITED), found);
}

/* Good until the next call. */
static __always_inline struct standing *standing_of(struct task_struct *task)
{
	struct cgroup *cgrp = cgroup_of(task);
	u64 id = cgroup_id(cgrp);
	struct standing *found = &standings[id % STANDINGS];

	if (found->cgroup_id != id || found->oom != oom.number)
		find_standing(cgrp, found);
	return found;
}

/* find_lock_task_mm(): a process lives on when its first thread has exited. */
static __noinline struct mm_struct *mm_of_another_thread(struct task_struct *task)
{
	struct list_head *head = &task->signal->thread_head;
	struct list_head *node = head->next;

	for (int i = 0; i < MAX_THREADS && node && node != head; i++) {
		struct task_struct *thread;

		thread = bpf_core_cast((void *)node - bpf_core_field_offset(task->thread_node), struct task_struct);
		if (thread->mm)
			return thread->mm;
		node = thread->thread_node.next;
	}
	return NULL;
}

static __always_inline struct mm_struct *mm_of(struct task_struct *task)
{
	return task->mm ?: mm_of_another_thread(task);
}

static __always_inline s64 counter(struct mm_struct *mm, int member)
{
	s64 pages = mm->rss_stat[member].count;

	return pages > 0 ? pages : 0;
}

/* oom_badness() */
static __always_inline s64 badness_of(struct mm_struct *mm, s32 adj, s64 points_per_adj)
{
	s64 pages = counter(mm, MM_FILEPAGES) + counter(mm, MM_ANONPAGES) +
		    counter(mm, MM_SHMEMPAGES) + counter(mm, MM_SWAPENTS) +
		    (mm->pgtables_bytes.counter >> (oom.page_shift & 31));

	return pages + adj * points_per_adj;
}

#ifndef OOMPOLICY_OBSERVE_ONLY

extern void set_oom_policy_name(struct oom_control *oc, const char *src, size_t src__sz) __ksym;

SEC("fentry/bpf_set_policy_name")
int BPF_PROG(name_policy, struct oom_control *oc)
{
	char name[] = "oompolicy";

	set_oom_policy_name(oc, name, sizeof(name));
	return 0;
}

SEC("tp_btf/select_bad_process_end")
int BPF_PROG(nobody_chosen, struct oom_control *oc)
{
	count(OOMPOLICY_STAT_NOBODY);
	return 0;
}

static __always_inline bool oom_skip(struct mm_struct *mm)
{
	struct mm_struct___word *word = (void *)mm;
	struct mm_struct___bitmap *bitmap = (void *)mm;
	u64 flags;

	if (bpf_core_field_exists(word->flags))
		flags = word->flags;
	else
		flags = bitmap->flags.__mm_flags[0];
	return flags & (1UL << MMF_OOM_SKIP);
}

static __always_inline bool in_vfork(struct task_struct *task)
{
	return task->vfork_done && task->real_parent->mm == task->mm;
}

/*
 * This hook comes after the kernel's tests for dying tasks and
 * oom_task_origin, and its answers cannot go round the other checks. As
 * posted in 2023 it stood before all of them.
 */
static __always_inline bool kernel_checks(void)
{
	return bpf_core_type_exists(enum bpf_oom_verdict___local);
}

/* Tasks that the kernel waits for, or takes first. */
static __always_inline bool kernel_decides(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	return signal->oom_mm || BPF_CORE_READ_BITFIELD(signal, oom_flag_origin);
}

/* __task_will_free_mem() */
static __always_inline bool is_ending(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	if (signal->core_state)
		return false;
	return (signal->flags & SIGNAL_GROUP_EXIT) || (signal->nr_threads == 1 && (task->flags & PF_EXITING));
}

/* task_will_free_mem(): a process that shares the memory and lives on would be killed with this one. */
static __always_inline bool will_free(struct task_struct *task, struct mm_struct *mm)
{
	return is_ending(task) && mm->mm_users.counter <= task->signal->nr_threads;
}

/*
 * The kernel waits for a chosen task that is dying, and kills nobody. What holds less than a thousandth of the scope is not waited for: a workload
 * whose processes come and go all the time would keep the OOM killer from ever
 * killing.
 */
static __always_inline s64 rank_of(struct task_struct *task, bool dying, s64 pages)
{
	bool is_protected = task->signal->oom_score_adj <= PROTECTED_SCORE_ADJ;

	if (dying && pages >= oom.points_per_adj)
		return DYING_RANK;
	return ((s64)is_protected << 32) + standing_of(task)->priority;
}

/* Where a task stands. False: it cannot die. */
static __always_inline bool make_candidate(struct task_struct *task, struct candidate *out)
{
	s32 adj = task->signal->oom_score_adj;
	struct mm_struct *mm;
	bool dying;
	s64 pages;

	if (adj == OOM_SCORE_ADJ_MIN)
		return false;
	mm = mm_of(task);
	if (!mm)
		return false;
	pages = badness_of(mm, 0, 0);
	out->task = (u64)task;
	out->tgid = task->tgid;
	out->ending = is_ending(task);
	dying = will_free(task, mm);
	/* The kernel looks at the first thread alone, and kills the process once more where that has exited. */
	out->unkilled = dying && task->mm;
	out->badness = pages + adj * oom.points_per_adj;
	out->rank = rank_of(task, dying, pages);
	return true;
}

/* The rest of the kernel's own checks. */
static __always_inline bool can_die(struct task_struct *task)
{
	struct mm_struct *mm = mm_of(task);

	return mm && !oom_skip(mm) && !in_vfork(task);
}

/*
 * Who stands at oc->chosen: nearly always the task that was last let through.
 * Anyone else was chosen by the kernel's own rule and is looked at anew.
 */
static __always_inline bool know_chosen(struct oom_control *oc)
{
	struct task_struct *chosen = oc->chosen;

	if (oom.chosen.task == (u64)chosen)
		return true;
	if (oom.last.task == (u64)chosen) {
		oom.chosen = oom.last;
		return true;
	}
	/* Only the scan of a sysrq gets as far as to choose a victim: it is on its way out already. */
	if (chosen->signal->oom_mm) {
		oom.chosen.task = (u64)chosen;
		oom.chosen.tgid = chosen->tgid;
		oom.chosen.rank = DYING_RANK;
		oom.chosen.badness = 0;
		oom.chosen.ending = true;
		oom.chosen.unkilled = true;
		return true;
	}
	if (!kernel_decides(chosen) && make_candidate(chosen, &oom.chosen) && can_die(chosen))
		return true;
	/* oom_task_origin: nothing to add to the kernel's choice. */
	oom.chosen.task = 0;
	return false;
}

static __always_inline int tie(struct candidate *one)
{
	/*
	 * This hook asks the kernel's badness before SELECT, so that points can
	 * be compared. As posted in 2023 it did not: points after a SELECT are
	 * what stood on the stack, and the comparison has to be ours. The kernel
	 * lets the later of two equals win.
	 */
	if (kernel_checks())
		return NO_BPF_POLICY;
	return one->badness >= oom.chosen.badness ? BPF_EVAL_SELECT : BPF_EVAL_NEXT;
}

static __always_inline int judge(struct candidate *one, struct oom_control *oc)
{
	/* Nobody yet: the kernel's own checks decide whether this one can stand. */
	if (!oc->chosen || oc->chosen == (void *)-1UL)
		return NO_BPF_POLICY;
	if (!know_chosen(oc))
		return NO_BPF_POLICY;
	if (one->rank < oom.chosen.rank)
		return BPF_EVAL_SELECT;
	if (one->rank > oom.chosen.rank)
		return BPF_EVAL_NEXT;
	return tie(one);
}

/*
 * oom_cpuset_eligible(): in an OOM of the node a task without a node in common
 * with the current one is out of reach. Each thread may have its own nodes;
 * the first is looked at.
 */
static __always_inline bool shares_a_node(struct task_struct *task)
{
	u32 offset = bpf_core_field_offset(task->mems_allowed);
	void *theirs = (void *)task + offset;
	void *ours = (void *)bpf_get_current_task_btf() + offset;

	for (u32 i = 0; i < MAX_NODEMASK_WORDS; i++) {
		u64 a = 0, b = 0;

		if (i * sizeof(a) >= bpf_core_field_size(task->mems_allowed))
			break;
		bpf_probe_read_kernel(&a, sizeof(a), theirs + i * sizeof(a));
		bpf_probe_read_kernel(&b, sizeof(b), ours + i * sizeof(b));
		if (a & b)
			return true;
	}
	return false;
}

static __always_inline void remember_kernel_choice(struct task_struct *task, struct candidate *one,
						   struct oom_control *oc)
{
	if (!oc->memcg && bpf_core_field_exists(task->mems_allowed) && !shares_a_node(task)) {
		oom.unsure = true;
		return;
	}
	oom.runner_up = oom.kernel_choice.badness;
	oom.kernel_choice = *one;
	oom.kernel_choice_standing = *standing_of(task);
}

static __always_inline int evaluate(struct task_struct *task, struct oom_control *oc)
{
	struct candidate one;
	bool worst;
	int verdict;

	/*
	 * An upgrade attaches and detaches program by program, and a loader may
	 * be killed between two: without oom_begins this one knows nothing of the
	 * OOM, not even the host's priority. The other generation decides.
	 */
	if (oom.oc != (u64)oc)
		return NO_BPF_POLICY;
	if (!kernel_checks() && kernel_decides(task))
		return NO_BPF_POLICY;
	if (!oom.points_per_adj)
		oom.points_per_adj = oc->totalpages / 1000;
	if (!make_candidate(task, &one))
		return NO_BPF_POLICY;
	worst = one.badness >= oom.kernel_choice.badness;
	verdict = judge(&one, oc);
	/* Seldom needed: nobody takes this one, or the kernel checks it after us. */
	if ((worst || (verdict != BPF_EVAL_NEXT && !kernel_checks())) && !can_die(task))
		return NO_BPF_POLICY;
	if (worst)
		remember_kernel_choice(task, &one, oc);
	else if (one.badness > oom.runner_up)
		oom.runner_up = one.badness;
	if (verdict != BPF_EVAL_NEXT)
		oom.last = one;
	return verdict;
}

SEC("fmod_ret/bpf_oom_evaluate_task")
int BPF_PROG(evaluate_task, struct task_struct *task, struct oom_control *oc, int ret)
{
	int verdict = evaluate(task, oc);

	oom.answers[verdict & 3]++;
	return verdict;
}

#endif /* OOMPOLICY_OBSERVE_ONLY */

SEC("fentry/out_of_memory")
int BPF_PROG(oom_begins, struct oom_control *oc)
{
	struct mem_cgroup *memcg = oc->memcg;

	oom.oc = (u64)oc;
	oom.scope_cgroup_id = memcg ? cgroup_id(memcg->css.cgroup) : 0;
	oom.number++;
	oom.points_per_adj = 0;
	oom.chosen.task = 0;
	oom.last.task = 0;
	oom.kernel_choice.task = 0;
	oom.kernel_choice.badness = LOWEST_BADNESS;
	oom.runner_up = LOWEST_BADNESS;
	oom.chosen_tgid = 0;
	oom.marked = false;
	oom.killing = false;
	oom.changed = false;
	oom.unsure = false;
	read_settings();
	__builtin_memset(oom.answers, 0, sizeof(oom.answers));
	return 0;
}

SEC("fexit/out_of_memory")
int BPF_PROG(oom_ends, struct oom_control *oc)
{
	u32 asked = candidates();

	oom.oc = 0;
	oom.scope_cgroup_id = 0;
	if (!asked)
		return 0;
	count(OOMPOLICY_STAT_SELECTIONS);
	add(OOMPOLICY_STAT_EVALUATIONS, asked);
	add(OOMPOLICY_STAT_SELECT, oom.answers[BPF_EVAL_SELECT]);
	add(OOMPOLICY_STAT_NEXT, oom.answers[BPF_EVAL_NEXT]);
	add(OOMPOLICY_STAT_NO_POLICY, oom.answers[NO_BPF_POLICY]);
	return 0;
}

static __always_inline void fill_memory(struct oompolicy_victim *record, struct task_struct *task)
{
	struct mm_struct *mm = mm_of(task);
	struct oom_control *oc;

	if (!mm)
		return;
	record->anon_pages = counter(mm, MM_ANONPAGES);
	record->file_pages = counter(mm, MM_FILEPAGES);
	record->shmem_pages = counter(mm, MM_SHMEMPAGES);
	record->swap_pages = counter(mm, MM_SWAPENTS);
	record->pgtables_bytes = mm->pgtables_bytes.counter;
	if (!oom.oc)
		return;
	oc = bpf_core_cast((void *)oom.oc, struct oom_control);
	record->total_pages = oc->totalpages;
	record->badness = badness_of(mm, record->oom_score_adj, oc->totalpages / 1000);
}

static __always_inline void fill_ids(u64 *ids, struct cgroup *cgrp)
{
	for (u32 i = 0; i < OOMPOLICY_LEVELS && i <= (u32)cgrp->level; i++)
		ids[i] = cgroup_id(ancestor_at(cgrp, i));
}

static __always_inline void fill_cgroups(struct oompolicy_victim *record, struct cgroup *cgrp)
{
	record->victim_cgroup_id = cgroup_id(cgrp);
	record->level = cgrp->level;
	fill_ids(record->cgroup_ids, cgrp);
	for (u32 i = 1; i < OOMPOLICY_LEVELS && i <= record->level; i++)
		bpf_probe_read_kernel_str(record->cgroup_names[i], OOMPOLICY_NAME, ancestor_at(cgrp, i)->kn->name);
}

static __always_inline void fill_trigger(struct oompolicy_victim *record)
{
	struct task_struct *trigger = bpf_get_current_task_btf();
	struct cgroup *cgrp = cgroup_of(trigger);

	record->trigger_tgid = trigger->tgid;
	record->trigger_cgroup_id = cgroup_id(cgrp);
	record->trigger_level = cgrp->level;
	fill_ids(record->trigger_cgroup_ids, cgrp);
	bpf_probe_read_kernel_str(record->trigger_comm, OOMPOLICY_COMM, trigger->comm);
}

/* The task may have exited since it was looked at; then its memory may be another's. */
static __always_inline void fill_spared(struct oompolicy_victim *record)
{
	struct task_struct *task = bpf_core_cast((void *)oom.kernel_choice.task, struct task_struct);
	struct standing *spared = &oom.kernel_choice_standing;
	struct cgroup *cgrp;

	record->flags |= OOMPOLICY_VICTIM_CHANGED;
	record->spared_tgid = oom.kernel_choice.tgid;
	record->spared_cgroup_id = spared->cgroup_id;
	record->spared_badness = oom.kernel_choice.badness;
	record->spared_priority = spared->priority;
	if (spared->level != OOMPOLICY_NO_LEVEL)
		record->flags |= OOMPOLICY_VICTIM_SPARED_ENTRY;
	if ((u32)task->tgid != oom.kernel_choice.tgid)
		return;
	bpf_probe_read_kernel_str(record->spared_comm, OOMPOLICY_COMM, task->comm);
	cgrp = cgroup_of(task);
	if (cgroup_id(cgrp) != spared->cgroup_id)
		return;
	record->spared_level = cgrp->level;
	fill_ids(record->spared_cgroup_ids, cgrp);
}

static __always_inline bool kills_groups(struct cgroup *cgrp)
{
	u32 memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	void *subsys = (void *)cgrp + bpf_core_field_offset(cgrp->subsys);
	struct mem_cgroup *memcg;
	void *css = NULL;

	bpf_probe_read_kernel(&css, sizeof(css), subsys + memory * sizeof(css));
	if (!css)
		return false;
	memcg = bpf_core_cast(css - bpf_core_field_offset(struct mem_cgroup, css), struct mem_cgroup);
	return memcg->oom_group;
}

/*
 * mem_cgroup_get_oom_group(): the victim's cgroups from the scope downwards
 * may be killed as a group, and with it the task that the kernel would have
 * chosen.
 */
static __always_inline bool dies_with_the_victim(struct cgroup *spared, struct cgroup *victim)
{
	bool in_scope = !oom.scope_cgroup_id;

	for (u32 i = 1; i < OOMPOLICY_LEVELS && i <= (u32)victim->level && i <= (u32)spared->level; i++) {
		struct cgroup *shared = ancestor_at(victim, i);
		u64 id = cgroup_id(shared);

		if (cgroup_id(ancestor_at(spared, i)) != id)
			return false;
		in_scope = in_scope || id == oom.scope_cgroup_id;
		if (in_scope && kills_groups(shared))
			return true;
	}
	return false;
}

static long is_no_cpu(u32 cpu, void *unused)
{
	u32 any = 0;

	return !bpf_map_lookup_percpu_elem(&stats, &any, cpu);
}

/*
 * By how many pages the badness of two tasks may be apart and still be the
 * other way round for a kernel that sums the counters of all CPUs. Each CPU
 * holds back up to percpu_counter_batch, as compute_batch_value() has it.
 */
static __always_inline s64 uncertainty(void)
{
	/* The loop ends at the first that is none. */
	s64 cpus = bpf_loop(MAX_CPUS, is_no_cpu, NULL, 0) - 1;
	s64 batch = cpus > 16 ? cpus * 2 : 32;

	return 2 * cpus * batch;
}

/* Would the kernel alone have killed another process, and is that sure enough to say so? */
static __always_inline bool is_changed(struct task_struct *victim, struct task_struct *chosen)
{
	struct task_struct *spared = bpf_core_cast((void *)oom.kernel_choice.task, struct task_struct);

	if (!spared || oom.kernel_choice.tgid == oom.chosen_tgid)
		return false;
	if (oom.kernel_choice.badness - oom.runner_up <= uncertainty())
		return false;
	/* The kernel would have waited for this one, and killed nobody. */
	if (oom.unsure || oom.kernel_choice.ending)
		return false;
	/* With or without a policy the kernel takes this one first. */
	if (BPF_CORE_READ_BITFIELD(chosen->signal, oom_flag_origin))
		return false;
	return !dies_with_the_victim(cgroup_of(spared), cgroup_of(victim));
}

static __noinline int take_chosen(struct candidate *one)
{
	oom.chosen_tgid = one->tgid;
	oom.killing = !one->unkilled;
	return 0;
}

/*
 * At the first victim the task that was chosen is still there. In a group's
 * kill the kernel lets go of it before it gets to the other members.
 */
static __always_inline void look_at_chosen(struct task_struct *victim, struct oom_control *oc)
{
	struct task_struct *chosen;

	oom.marked = true;
	if (!oc->chosen || oc->chosen == (void *)-1UL)
		return;
	chosen = bpf_core_cast(oc->chosen, struct task_struct);
	oom.killing = true;
	if (oom.last.task == (u64)chosen)
		take_chosen(&oom.last);
	else if (oom.chosen.task == (u64)chosen)
		take_chosen(&oom.chosen);
	else
		oom.chosen_tgid = chosen->tgid;
	/* Under a cpuset or memory policy not every task that was looked at could have been chosen. */
	if (oc->constraint != CONSTRAINT_CPUSET && oc->constraint != CONSTRAINT_MEMORY_POLICY)
		oom.changed = is_changed(victim, chosen);
}

static __always_inline void fill_selection(struct oompolicy_victim *record)
{
	struct oom_control *oc = bpf_core_cast((void *)oom.oc, struct oom_control);

	if (!oom.oc) {
		record->flags |= OOMPOLICY_VICTIM_NO_SCOPE;
		return;
	}
	if (oc->constraint == CONSTRAINT_CPUSET || oc->constraint == CONSTRAINT_MEMORY_POLICY)
		record->flags |= OOMPOLICY_VICTIM_CONSTRAINED;
	if (oom.chosen_tgid != record->victim_tgid)
		record->flags |= OOMPOLICY_VICTIM_GROUP;
	if (!candidates()) {
#ifndef OOMPOLICY_OBSERVE_ONLY
		count(OOMPOLICY_STAT_BYPASSED);
#endif
		return;
	}
	record->flags |= OOMPOLICY_VICTIM_SELECTED;
	record->candidates = candidates();
	if (oom.changed)
		fill_spared(record);
}

/*
 * A process is marked once for each of its threads that runs out of memory on
 * its way out, and twice if it was chosen out of a group.
 */
static __always_inline bool is_repeated(u32 tgid, u64 start_boottime_ns)
{
	u32 slot = tgid % REPORTED;

	if (reported[slot].tgid == tgid && reported[slot].start_boottime_ns == start_boottime_ns)
		return true;
	reported[slot].tgid = tgid;
	reported[slot].start_boottime_ns = start_boottime_ns;
	return false;
}

/*
 * The kernel marks not only those that it kills: a process that is dying by
 * another's hand gets the memory it needs for it the same way, when it runs out
 * of memory itself and when it is chosen.
 */
static __always_inline bool is_killed(void)
{
	return !oom.oc || oom.killing;
}

static __always_inline void fill_record(struct oompolicy_victim *record, struct task_struct *task)
{
	struct standing *standing = standing_of(task);

	record->boottime_ns = bpf_ktime_get_boot_ns();
	record->start_boottime_ns = task->group_leader->start_boottime;
	record->scope_cgroup_id = oom.scope_cgroup_id;
	record->victim_tgid = task->tgid;
	record->victim_pid = task->pid;
	record->victim_uid = task->cred->uid.val;
	record->oom_score_adj = task->signal->oom_score_adj;
	record->priority = standing->priority;
	record->priority_level = standing->level;
	record->spared_level = OOMPOLICY_NO_LEVEL;
	bpf_probe_read_kernel_str(record->victim_comm, OOMPOLICY_COMM, task->comm);
	fill_memory(record, task);
	fill_cgroups(record, cgroup_of(task));
	fill_trigger(record);
	fill_selection(record);
}

static __noinline int report(struct task_struct *task)
{
	struct oompolicy_victim *record;

	/* Without its beginning what is known of entries is of another OOM. */
	if (!oom.oc)
		oom.number++;
	else if (!oom.marked)
		look_at_chosen(task, bpf_core_cast((void *)oom.oc, struct oom_control));
	if (!is_killed()) {
		count(OOMPOLICY_STAT_DYING);
		return 0;
	}
	if (is_repeated(task->tgid, task->group_leader->start_boottime))
		return 0;
	count(OOMPOLICY_STAT_VICTIMS);
	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record) {
		count(OOMPOLICY_STAT_VICTIMS_DROPPED);
		return 0;
	}
	bpf_probe_read_kernel(record, sizeof(*record), &no_victim);
	fill_record(record, task);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

/*
 * Linux kernel commit 72ba14deb40a ("mm: update mark_victim tracepoints
 * fields") (in v6.9) made the argument a task; before it was a pid.
 */
SEC("tp_btf/mark_victim")
int victim_marked(u64 *ctx)
{
	struct task_struct *task;

	if (bpf_core_field_exists(struct trace_event_raw_mark_victim, uid))
		return report((struct task_struct *)ctx[0]);

	task = bpf_task_from_pid(ctx[0]);
	if (!task)
		return 0;
	report(task);
	bpf_task_release(task);
	return 0;
}

static __always_inline void announce(struct cgroup *cgrp, u32 change)
{
	struct cgroup_subsys_state *parent = cgrp->self.parent;
	struct oompolicy_cgroup *record;

	record = bpf_ringbuf_reserve(&cgroups, sizeof(*record), 0);
	if (!record) {
		count(OOMPOLICY_STAT_CGROUPS_DROPPED);
		return;
	}
	record->cgroup_id = cgroup_id(cgrp);
	record->parent_id = parent ? cgroup_id(parent->cgroup) : 0;
	record->change = change;
	record->level = cgrp->level;
	bpf_ringbuf_submit(record, 0);
}

/* cgroup v1 hierarchies number their cgroups on their own. */
static __always_inline bool is_v2(struct cgroup *cgrp)
{
	return cgrp->root->hierarchy_id == 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgrp)
{
	if (is_v2(cgrp))
		announce(cgrp, OOMPOLICY_CGROUP_MKDIR);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgrp)
{
	u64 id;

	if (!is_v2(cgrp))
		return 0;
	id = cgroup_id(cgrp);
	if (!bpf_map_delete_elem(&cgroup_priority, &id))
		count(OOMPOLICY_STAT_ENTRIES_DELETED);
	announce(cgrp, OOMPOLICY_CGROUP_RMDIR);
	return 0;
}
