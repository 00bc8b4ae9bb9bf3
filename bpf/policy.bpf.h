/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The policy: the answers to the hook. The observing object does not include
 * this file.
 *
 * The order in which tasks die is total:
 *
 * 1. tasks that are dying already, because the kernel waits for the memory of
 *    such a task and kills no other
 * 2. tasks that oom_score_adj does not protect, before those that it protects
 * 3. the lowest priority. Tasks of pods that free less than the minimum come
 *    after all other tasks below the host's priority
 * 4. with OOMPOLICY_MOST_OVER_REQUEST, the memory above the request
 * 5. the kernel's badness
 *
 * Only a task that the kernel's own checks let through has a place in this
 * order. For any other task the answer is NO_BPF_POLICY, and the kernel
 * decides.
 *
 * In the modes OFF and AUDIT every answer is NO_BPF_POLICY. In AUDIT the
 * program computes the policy's choice in the same scan.
 */
#ifndef OOMPOLICY_POLICY_BPF_H
#define OOMPOLICY_POLICY_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "badness.bpf.h"
#include "oom.bpf.h"
#include "standing.bpf.h"
#include "wait.bpf.h"

/* From include/uapi/linux/oom.h. BTF has no macros. */
#define OOM_SCORE_ADJ_MIN	(-1000)

/*
 * The kubelet gives -998 to sandboxes and -999 to itself
 * (pkg/kubelet/qos/policy.go). Killing a sandbox frees no memory and ends the
 * whole pod.
 */
#define PROTECTED_SCORE_ADJ	(-998)

/* As is_sysrq_oom(). */
#define SYSRQ_ORDER		(-1)

/* Ranks of two neighbouring priorities have this distance. It leaves room for PRIORITY_MAX ranks between them. */
#define RANK_STEP		4096LL
/* Above all ranks of tasks that are not protected, even that with the highest priority that an s32 holds. */
#define PROTECTED_RANK		(1LL << 45)
/* Below all other ranks. */
#define DYING_RANK		(-(1LL << 45))

/*
 * Return true if the hook is the one of this project. The kernel calls that
 * hook after its tests for dying tasks and oom_task_origin, and no answer
 * bypasses the other checks. The hook as posted in 2023 came before all checks.
 */
static __always_inline bool kernel_checks(void)
{
	return bpf_core_type_exists(enum bpf_oom_verdict___local);
}

/* Return true for a task that the kernel waits for, or that it takes first. */
static __always_inline bool kernel_decides(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	return signal->oom_mm || BPF_CORE_READ_BITFIELD(signal, oom_flag_origin);
}

static __always_inline s64 clamped(s32 priority)
{
	if (priority < 0)
		return 0;
	return priority > OOMPOLICY_PRIORITY_MAX ? OOMPOLICY_PRIORITY_MAX : priority;
}

/*
 * Return true if the task frees less memory than the minimum, so that tasks of
 * other pods die first. With memory.oom.group a whole cgroup dies with the
 * task. A process of the host never dies in place of a small task: otherwise
 * small pods would be safer than the host.
 */
static __always_inline bool is_passed_over(struct standing *standing, s64 pages)
{
	s64 minimum = oom.minimum_victim_pages;

	return pages < minimum && standing->group_pages < minimum && standing->priority < oom.host_priority;
}

/* The kernel waits for a chosen task that is dying, and kills no other. */
static __always_inline s64 rank_of(struct task_struct *task, struct standing *standing, bool dying, s64 pages)
{
	s64 rank = standing->priority * RANK_STEP;

	if (dying)
		return DYING_RANK;
	if (is_passed_over(standing, pages))
		rank = oom.host_priority * RANK_STEP - RANK_STEP / 2 + clamped(standing->priority);
	return rank + (task->signal->oom_score_adj <= PROTECTED_SCORE_ADJ ? PROTECTED_RANK : 0);
}

/* Describe the task as a candidate. Return false if it is unkillable or has no memory. */
static __always_inline bool make_candidate(struct task_struct *task, struct candidate *out)
{
	s32 adj = task->signal->oom_score_adj;
	struct standing *standing;
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
	/*
	 * A task that holds less than a thousandth of the scope's memory does not count as dying. Otherwise a workload
	 * that starts and ends processes all the time would keep the OOM killer from ever killing.
	 */
	dying = pages >= oom.points_per_adj && will_free(task, mm);
	out->badness = pages + adj * oom.points_per_adj;
	standing = standing_of(task);
	out->rank = rank_of(task, standing, dying, pages);
	out->over_request = out->rank == DYING_RANK ? 0 : standing->over_request;
	return true;
}

/*
 * Make oom.chosen describe oc->chosen. Nearly always that is the task that
 * evaluate() let through last. Any other task was chosen by the kernel's own
 * rule and is described anew. Return false if the kernel's choice stands.
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
	/* Only the scan of a sysrq can choose a task that is a victim already. Such a task is dying. */
	if (chosen->signal->oom_mm) {
		oom.chosen.task = (u64)chosen;
		oom.chosen.tgid = chosen->tgid;
		oom.chosen.rank = DYING_RANK;
		oom.chosen.over_request = 0;
		oom.chosen.badness = 0;
		oom.chosen.ending = true;
		return true;
	}
	if (!kernel_decides(chosen) && make_candidate(chosen, &oom.chosen) && can_die(chosen))
		return true;
	/* oom_task_origin: the program has nothing to add to the kernel's choice. */
	oom.chosen.task = 0;
	return false;
}

static __always_inline int tie(struct candidate *one)
{
	/*
	 * The hook of this project computes the kernel's badness before it acts
	 * on SELECT, so the kernel can compare points. The hook as posted in
	 * 2023 does not: after a SELECT, points is an uninitialised variable,
	 * and the program has to compare. As in the kernel, the later of two
	 * equal tasks wins.
	 */
	if (kernel_checks())
		return NO_BPF_POLICY;
	return one->badness >= oom.chosen.badness ? BPF_EVAL_SELECT : BPF_EVAL_NEXT;
}

static __always_inline int judge(struct candidate *one, struct oom_control *oc)
{
	/* No task is chosen yet. The kernel's own checks decide whether this one can be. */
	if (!oc->chosen || oc->chosen == (void *)-1UL)
		return NO_BPF_POLICY;
	if (!know_chosen(oc))
		return NO_BPF_POLICY;
	if (one->rank < oom.chosen.rank)
		return BPF_EVAL_SELECT;
	if (one->rank > oom.chosen.rank)
		return BPF_EVAL_NEXT;
	/* Without OOMPOLICY_MOST_OVER_REQUEST both values are 0. */
	if (one->over_request != oom.chosen.over_request)
		return one->over_request > oom.chosen.over_request ? BPF_EVAL_SELECT : BPF_EVAL_NEXT;
	return tie(one);
}

/* Return false, and give up the comparison of the rules, if the task's cpuset may keep the kernel from choosing it. */
static __always_inline bool is_eligible(struct task_struct *task, struct oom_control *oc)
{
	if (oc->memcg || !bpf_core_field_exists(task->mems_allowed) || shares_a_node(task))
		return true;
	oom.unsure = true;
	return false;
}

static __always_inline void remember(struct choice *choice, struct task_struct *task, struct candidate *one)
{
	choice->candidate = *one;
	choice->standing = *standing_of(task);
}

static __always_inline void remember_kernel_choice(struct task_struct *task, struct candidate *one,
						   struct oom_control *oc)
{
	if (!is_eligible(task, oc))
		return;
	oom.runner_up = oom.kernel_choice.candidate.badness;
	remember(&oom.kernel_choice, task, one);
}

/* As in the kernel, the later of two equal tasks wins. */
static __always_inline bool dies_before(struct candidate *one, struct candidate *other)
{
	if (one->rank != other->rank)
		return one->rank < other->rank;
	if (one->over_request != other->over_request)
		return one->over_request > other->over_request;
	return one->badness >= other->badness;
}

/* Remember the task if the kernel or the policy would choose it among the tasks up to here. */
static __always_inline void audit(struct task_struct *task, struct candidate *one, struct oom_control *oc)
{
	bool worst = one->badness >= oom.kernel_choice.candidate.badness;
	bool first = dies_before(one, &oom.policy_choice.candidate);

	if (!(worst || first) || !can_die(task) || !is_eligible(task, oc))
		return;
	if (worst)
		remember(&oom.kernel_choice, task, one);
	if (first)
		remember(&oom.policy_choice, task, one);
}

static __always_inline int evaluate(struct task_struct *task, struct oom_control *oc)
{
	struct candidate one;
	bool worst;
	int verdict;

	/*
	 * An upgrade attaches and detaches one program after another, and the
	 * loader may be killed in between. Without oom_begins this program knows
	 * nothing of the OOM, not even the host's priority, and the programs of
	 * the other generation decide.
	 */
	if (oom.oc != (u64)oc)
		return NO_BPF_POLICY;
	if (oom.mode != OOMPOLICY_MODE_ENFORCE && oom.mode != OOMPOLICY_MODE_AUDIT)
		return NO_BPF_POLICY;
	if (!kernel_checks() && kernel_decides(task))
		return NO_BPF_POLICY;
	if (!oom.points_per_adj) {
		oom.points_per_adj = oc->totalpages / 1000;
		oom.waiting = kernel_checks() && oom.mode == OOMPOLICY_MODE_ENFORCE && oc->order != SYSRQ_ORDER && is_waiting();
	}
	if (oom.waiting)
		return BPF_EVAL_ABORT;
	if (!make_candidate(task, &one))
		return NO_BPF_POLICY;
	if (oom.mode == OOMPOLICY_MODE_AUDIT) {
		audit(task, &one, oc);
		return NO_BPF_POLICY;
	}
	worst = one.badness >= oom.kernel_choice.candidate.badness;
	verdict = judge(&one, oc);
	/* Most tasks need no can_die(): the answer passes over them, or the kernel makes the same checks afterwards. */
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

extern void set_oom_policy_name(struct oom_control *oc, const char *src, size_t src__sz) __ksym;

SEC("fentry/bpf_set_policy_name")
int BPF_PROG(name_policy, struct oom_control *oc)
{
	char name[] = "oompolicy";

	/* The name says that the policy chooses. */
	if (oom.oc != (u64)oc || oom.mode != OOMPOLICY_MODE_ENFORCE)
		return 0;
	set_oom_policy_name(oc, name, sizeof(name));
	return 0;
}

SEC("tp_btf/select_bad_process_end")
int BPF_PROG(nobody_chosen, struct oom_control *oc)
{
	if (!oom.proof)
		count(OOMPOLICY_STAT_NOBODY);
	return 0;
}

SEC("fmod_ret/bpf_oom_evaluate_task")
int BPF_PROG(evaluate_task, struct task_struct *task, struct oom_control *oc, int ret)
{
	int verdict = evaluate(task, oc);

	oom.answers[verdict & 3]++;
	return verdict;
}

#endif /* OOMPOLICY_POLICY_BPF_H */
