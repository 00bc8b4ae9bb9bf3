// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf_oom_evaluate_task() for stock kernels.
 *
 * This module calls the hook at the entry of oom_evaluate_task(). If the hook
 * answers BPF_EVAL_NEXT, the kernel's function does not run for this task. If
 * the hook answers BPF_EVAL_ABORT, the scan ends. After any other answer the
 * kernel's function runs unchanged, with all of its checks: unkillable tasks,
 * cpuset, OOM_SCORE_ADJ_MIN, MMF_OOM_SKIP, vfork, references.
 *
 * Without an attached program the hook answers NO_BPF_POLICY, and the kernel
 * behaves as it does without this module.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/oom.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/tracepoint.h>

#define CREATE_TRACE_POINTS
#include "oompolicy_trace.h"

/* Kbuild looks for functions in the headers, because distributions bring newer BPF into older kernels. */
#if !defined(HAVE_REGISTER_BTF_FMODRET_ID_SET) || !defined(__bpf_kfunc)
#error "This kernel takes no hook from a module: its linux/btf.h lacks register_btf_fmodret_id_set() or __bpf_kfunc"
#endif
#if !defined(CONFIG_DEBUG_INFO_BTF_MODULES) || !defined(CONFIG_BPF_EVENTS)
#error "The hook is found through the module's BTF: CONFIG_DEBUG_INFO_BTF_MODULES and CONFIG_BPF_EVENTS are needed"
#endif
#if !defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS) && !defined(CONFIG_DYNAMIC_FTRACE_WITH_REGS)
#error "A function cannot be redirected without CONFIG_DYNAMIC_FTRACE_WITH_ARGS or _REGS"
#endif
#if !defined(CONFIG_X86_64) && !defined(CONFIG_ARM64)
#error "calls_at() knows the calls of x86_64 and arm64 only"
#endif
#if !defined(CONFIG_KPROBES) || !defined(CONFIG_MEMCG)
#error "CONFIG_KPROBES and CONFIG_MEMCG are needed"
#endif

/* BTF_KFUNCS_* have these names since 6.9, the other macros since 6.7. */
#ifndef BTF_KFUNCS_START
#define BTF_KFUNCS_START BTF_SET8_START
#define BTF_KFUNCS_END BTF_SET8_END
#endif
#ifndef __bpf_hook_start
#define __bpf_hook_start() \
	__diag_push(); \
	__diag_ignore_all("-Wmissing-prototypes", "called by name from BPF")
#define __bpf_hook_end() __diag_pop()
#endif
#ifndef __bpf_kfunc_start_defs
#define __bpf_kfunc_start_defs __bpf_hook_start
#define __bpf_kfunc_end_defs __bpf_hook_end
#endif

/*
 * Linux has this function since 6.2. On x86-64, struct ftrace_regs begins with
 * the registers in all versions that pass arguments to ftrace's callbacks.
 */
#ifndef HAVE_FTRACE_REGS_GET_ARGUMENT
#if !defined(CONFIG_X86_64) || !defined(CONFIG_HAVE_DYNAMIC_FTRACE_WITH_ARGS)
#error "The module cannot read arguments: this kernel has no ftrace_regs_get_argument()"
#endif
#define ftrace_regs_get_argument(fregs, n) regs_get_kernel_argument((struct pt_regs *)(fregs), n)
#endif

#define POLICY_NAME_LEN 16

/*
 * The type has a name so that a program can find it in BTF. It means that the
 * kernel's checks apply to the program's answers.
 */
enum bpf_oom_verdict {
	NO_BPF_POLICY,
	BPF_EVAL_ABORT,
	BPF_EVAL_NEXT,
	BPF_EVAL_SELECT,
};

/*
 * The scan under way. The kernel holds oom_lock during the whole of
 * out_of_memory(). There is therefore one scan at a time, and its state can be
 * plain variables.
 */
static struct oom_control *scan_oc;
static char policy_name[POLICY_NAME_LEN];
/* The task of the last BPF_EVAL_SELECT, compared and never dereferenced, and the points before that answer. */
static struct task_struct *selected;
static long points_before;

__bpf_hook_start();

/*
 * __weak is necessary: gcc still analyses a noinline function. It would see
 * that the answer is 0 and remove the switch on it.
 */
__weak noinline int bpf_oom_evaluate_task(struct task_struct *task, struct oom_control *oc)
{
	return NO_BPF_POLICY;
}

__weak noinline void bpf_set_policy_name(struct oom_control *oc)
{
}

__bpf_hook_end();

__bpf_kfunc_start_defs();

/*
 * The argument of a tracing program is not a trusted pointer, and kfuncs demand
 * trusted pointers since 7.0. __ign exempts oc. That is safe because oc is
 * compared and never dereferenced.
 */
__bpf_kfunc void set_oom_policy_name(struct oom_control *oc__ign, const char *src, size_t src__sz)
{
	if (oc__ign != scan_oc)
		return;
	src__sz = min_t(size_t, src__sz, POLICY_NAME_LEN - 1);
	memcpy(policy_name, src, src__sz);
	memset(policy_name + src__sz, 0, POLICY_NAME_LEN - src__sz);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(oompolicy_kfunc_ids)
BTF_ID_FLAGS(func, set_oom_policy_name)
BTF_KFUNCS_END(oompolicy_kfunc_ids)

static const struct btf_kfunc_id_set oompolicy_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &oompolicy_kfunc_ids,
};

BTF_KFUNCS_START(oompolicy_fmodret_ids)
BTF_ID_FLAGS(func, bpf_oom_evaluate_task)
BTF_KFUNCS_END(oompolicy_fmodret_ids)

static const struct btf_kfunc_id_set oompolicy_fmodret_set = {
	.owner = THIS_MODULE,
	.set = &oompolicy_fmodret_ids,
};

static void scan_begins(struct oom_control *oc)
{
	scan_oc = oc;
	selected = NULL;
	strscpy(policy_name, "default", sizeof(policy_name));
	bpf_set_policy_name(oc);
}

/*
 * With the lowest bar, the kernel refuses the task only if one of its own checks
 * fails. If it takes the task, chosen_points becomes the task's own points.
 */
static void lower_bar(struct task_struct *task, struct oom_control *oc)
{
	selected = task;
	points_before = oc->chosen_points;
	oc->chosen_points = LONG_MIN;
}

/* If the kernel refused the task, the next task has to compete with the task that is still chosen. */
static void raise_bar(struct oom_control *oc)
{
	if (selected && oc->chosen != selected)
		oc->chosen_points = points_before;
	selected = NULL;
}

/* Return true for tasks that the kernel waits for, takes first, or never takes. The hook is not called for them. */
static bool kernel_decides(struct task_struct *task)
{
	return is_global_init(task) || (task->flags & PF_KTHREAD) ||
	       tsk_is_oom_victim(task) || oom_task_origin(task);
}

/* These two run instead of oom_evaluate_task(). */
static int skip_task(struct task_struct *task, void *arg)
{
	return 0;
}

static int abort_scan(struct task_struct *task, void *arg)
{
	struct oom_control *oc = arg;

	if (oc->chosen)
		put_task_struct(oc->chosen);
	oc->chosen = (void *)-1UL;
	return 1;
}

static void notrace oom_evaluate_task_entered(unsigned long ip, unsigned long parent_ip,
					      struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct task_struct *task = (void *)ftrace_regs_get_argument(fregs, 0);
	struct oom_control *oc = (void *)ftrace_regs_get_argument(fregs, 1);

	if (scan_oc != oc)
		scan_begins(oc);
	else
		raise_bar(oc);
	if (kernel_decides(task))
		return;
	switch ((enum bpf_oom_verdict)bpf_oom_evaluate_task(task, oc)) {
	case BPF_EVAL_ABORT:
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)abort_scan);
		break;
	case BPF_EVAL_NEXT:
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)skip_task);
		break;
	case BPF_EVAL_SELECT:
		lower_bar(task, oc);
		break;
	default:
		break;
	}
}

/*
 * Each OOM starts without a scan. An OOM may end before its scan, because the
 * current task is dying or vm.oom_kill_allocating_task is set. Such an OOM has
 * no policy.
 */
static void notrace out_of_memory_entered(unsigned long ip, unsigned long parent_ip,
					  struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	scan_oc = NULL;
}

/* The function of the scan is inlined. If the scan chose no task, the kernel calls dump_header() next. */
static void notrace dump_header_entered(unsigned long ip, unsigned long parent_ip,
					struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct oom_control *oc = (void *)ftrace_regs_get_argument(fregs, 0);

	if (!oc->chosen)
		trace_select_bad_process_end(oc);
}

/*
 * Print the line before the kernel's "Killed process". A kernel with control
 * flow integrity (CFI) stops at a probe of another type than the tracepoint's.
 */
#ifdef HAVE_MARK_VICTIM_TASK
static void victim_marked(void *data, struct task_struct *task, uid_t uid)
#else
static void victim_marked(void *data, int pid)
#endif
{
	if (scan_oc)
		pr_warn("policy_name=%s\n", policy_name);
}

/*
 * The flag PERMANENT protects the policy from kernel.ftrace_enabled=0, which
 * would turn the policy off silently. The kernel refuses that value while a
 * permanent user is registered. If the value is 0 already, the kernel refuses
 * the registration.
 */
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
#define ENTRY_FLAGS FTRACE_OPS_FL_PERMANENT
#else
#define ENTRY_FLAGS (FTRACE_OPS_FL_PERMANENT | FTRACE_OPS_FL_SAVE_REGS)
#endif
#define REDIRECT_FLAGS (ENTRY_FLAGS | FTRACE_OPS_FL_IPMODIFY)

/* In the order of registration: the module notices scans before it redirects them. */
static struct entry {
	const char *symbol;
	struct ftrace_ops ops;
	bool optional;		/* needed for reports only */
	bool registered;
} entries[] = {
	{ "out_of_memory", { .func = out_of_memory_entered, .flags = ENTRY_FLAGS } },
	{ "dump_header", { .func = dump_header_entered, .flags = ENTRY_FLAGS }, .optional = true },
	{ "oom_evaluate_task", { .func = oom_evaluate_task_entered, .flags = REDIRECT_FLAGS } },
};

/*
 * Find the kernel's own function of that name. A probe prefers it to functions
 * of the same name in modules. Return an error if the kernel inlined or renamed
 * the function.
 */
static int find_function(const char *symbol, unsigned long *address)
{
	/*
	 * The probe is never armed, because it is on the stack. If ftrace has
	 * broken down, an armed probe cannot be unregistered.
	 */
	struct kprobe probe = { .symbol_name = symbol, .flags = KPROBE_FLAG_DISABLED };
	int err = register_kprobe(&probe);

	if (err)
		return err;
	*address = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	return 0;
}

/* The text of a function of the kernel. */
struct text {
	unsigned long start;
	unsigned long size;
};

/*
 * Find the text of the kernel's own function of that name. A probe may be
 * behind an instruction such as endbr64 at the function's start, and the
 * function that knows the size is not exported. The kernel prints both as
 * name+0xoffset/0xsize.
 */
static int find_text(const char *symbol, struct text *text)
{
	char printed[KSYM_SYMBOL_LEN];
	unsigned long address, offset;
	char *places;
	int err;

	err = find_function(symbol, &address);
	if (err)
		return err;
	sprint_symbol(printed, address);
	places = strrchr(printed, '+');
	if (!places || sscanf(places, "+%lx/%lx", &offset, &text->size) != 2)
		return -EINVAL;
	text->start = address - offset;
	return 0;
}

#ifdef CONFIG_X86_64
/* Return the target if a direct call may start at this byte, or 0. No byte says where an instruction starts. */
static unsigned long calls_at(unsigned long ip)
{
	s32 distance;

	if (*(u8 *)ip != 0xe8)
		return 0;
	memcpy(&distance, (void *)(ip + 1), sizeof(distance));
	return ip + 5 + distance;
}

#define CALL_SIZE	5
#define CALL_ALIGNMENT	1
#else
/* Return the target of the instruction if it is BL, or 0. */
static unsigned long calls_at(unsigned long ip)
{
	u32 insn = le32_to_cpu(*(__le32 *)ip);

	if ((insn & 0xfc000000) != 0x94000000)
		return 0;
	return ip + ((long)sign_extend32(insn, 25) << 2);
}

#define CALL_SIZE	4
#define CALL_ALIGNMENT	4
#endif

/*
 * A call may go past endbr64 or BTI at the function's start, or with call depth
 * tracking to the thunk in the padding before it (kernel/callthunks.c).
 */
#define PADDING		16
#define LANDING		4

static bool calls(const struct text *caller, const struct text *callee)
{
	unsigned long ip, target;

	for (ip = caller->start; ip + CALL_SIZE <= caller->start + caller->size; ip += CALL_ALIGNMENT) {
		target = calls_at(ip);
		if (target >= callee->start - PADDING && target <= callee->start + LANDING)
			return true;
	}
	return false;
}

/*
 * The functions that may have the loop over all tasks of the node. Nearly every
 * compiler inlines the second into the first.
 */
static const char *const scans[] = { "out_of_memory", "select_bad_process" };

/*
 * A compiler may inline oom_evaluate_task() into the scan of the node, and keep
 * it for cgroups, which get its address. Then the policy would decide at the
 * limits of cgroups and never for the node.
 */
static int check_call(void)
{
	struct text caller, callee;
	int err, i;

	err = find_text("oom_evaluate_task", &callee);
	if (err) {
		pr_err("cannot hook oom_evaluate_task(): this kernel has no such function to trace, it was inlined or renamed (%d)\n",
		       err);
		return err;
	}
	for (i = 0; i < ARRAY_SIZE(scans); i++)
		if (!find_text(scans[i], &caller) && calls(&caller, &callee))
			return 0;
	pr_err("out_of_memory() of this kernel does not call oom_evaluate_task(): the compiler inlined it, and the policy would decide at limits of cgroups and never for the node\n");
	return -EOPNOTSUPP;
}

static int hook_entry(struct entry *entry)
{
	unsigned long address;
	int err = find_function(entry->symbol, &address);

	if (err) {
		pr_err("cannot hook %s(): this kernel has no such function to trace, it was inlined or renamed (%d)\n",
		       entry->symbol, err);
		return entry->optional ? 0 : err;
	}
	/* The filter is an address, because a name would match functions of other modules, too. */
	err = ftrace_set_filter_ip(&entry->ops, address, 0, 0);
	if (!err)
		err = register_ftrace_function(&entry->ops);
	if (err) {
		ftrace_free_filter(&entry->ops);
		pr_err("cannot hook %s(): ftrace refused, a live patch or ftrace_enabled=0 may stand in the way (%d)\n",
		       entry->symbol, err);
		return err;
	}
	entry->registered = true;
	return 0;
}

static struct tracepoint *mark_victim;

static void find_mark_victim(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "mark_victim"))
		mark_victim = tp;
}

static int register_probe(void)
{
	for_each_kernel_tracepoint(find_mark_victim, NULL);
	if (!mark_victim) {
		pr_err("this kernel has no tracepoint oom:mark_victim\n");
		return -ENOENT;
	}
	return tracepoint_probe_register(mark_victim, victim_marked, NULL);
}

static void unregister_all(void)
{
	int i;

	for (i = ARRAY_SIZE(entries) - 1; i >= 0; i--) {
		if (!entries[i].registered)
			continue;
		unregister_ftrace_function(&entries[i].ops);
		ftrace_free_filter(&entries[i].ops);
	}
	tracepoint_probe_unregister(mark_victim, victim_marked, NULL);
	tracepoint_synchronize_unregister();
	/* A task that was preempted in one of this module's functions still has to return from it. */
	synchronize_rcu_tasks();
}

static int register_btf(void)
{
	int err;

	/* If the module has no BTF, the kernel's two functions do nothing and return 0. */
	if (!THIS_MODULE->btf_data_size) {
		pr_err("cannot offer the hook to BPF: this module was built without BTF, its kernel's headers have no vmlinux\n");
		return -EINVAL;
	}
	err = register_btf_fmodret_id_set(&oompolicy_fmodret_set);
	if (!err)
		err = register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING, &oompolicy_kfunc_set);
	if (err)
		pr_err("cannot offer the hook to BPF: no BTF in kernel or module (%d)\n", err);
	return err;
}

static int __init oompolicy_hook_init(void)
{
	int err, i;

	err = check_call();
	if (err)
		return err;
	err = register_btf();
	if (err)
		return err;
	err = register_probe();
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		err = hook_entry(&entries[i]);
		if (err) {
			unregister_all();
			return err;
		}
	}
	pr_info("bpf_oom_evaluate_task is ready\n");
	return 0;
}

static void __exit oompolicy_hook_exit(void)
{
	unregister_all();
}

module_init(oompolicy_hook_init);
module_exit(oompolicy_hook_exit);

MODULE_DESCRIPTION("bpf_oom_evaluate_task: BPF decides whom the OOM killer takes");
MODULE_AUTHOR("The oompolicy authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0+" SOURCE_HASH);
