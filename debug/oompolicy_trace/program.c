// SPDX-License-Identifier: GPL-2.0-only
/*
 * A witness of the OOM killer. It records what the kernel's own functions are
 * asked and answer, and changes nothing.
 *
 * bcc compiles it when oompolicy-trace starts. The macros in capitals are the
 * offsets of fields, which offsets.py reads from the kernel's BTF, so that no
 * header of this kernel is needed. records.py states struct record again.
 */
#include <uapi/linux/ptrace.h>

#define SIGKILL		9
#define PF_KTHREAD	0x00200000
/* A cgroup further down has the priority of its nearest ancestor as well, and this program does not look for it. */
#define MAX_LEVELS	64

enum kind {
	BEGAN,
	LOOKED_AT,
	CHOSEN,
	SIGNALLED,
	MARKED,
	ENDED,
};

enum flag {
	HAS_BADNESS = 1 << 0,
	HAS_ANSWER = 1 << 1,
	HAS_PAGES = 1 << 2,
	HAS_PRIORITY = 1 << 3,
	IS_CHOSEN = 1 << 4,	/* oc->chosen is this task after the kernel has looked at it */
	HAS_TASK = 1 << 5,	/* the kernel gives a task and not a pid alone */
	INLINED = 1 << 6,	/* only oom_badness() was seen, so the result is unknown */
	TOO_DEEP = 1 << 7,	/* the walk to the root did not end, so a missing priority is unknown */
};

struct record {
	u64 time_ns;
	u64 oom;
	u64 cgroup_id;		/* of the task; in BEGAN that of the scope, 0 for the node */
	u64 priority_cgroup_id;
	s64 badness;
	s64 pages;
	s64 points;		/* oc->chosen_points; in ENDED the pages of the scope */
	s32 priority;
	s32 pid;
	s32 tgid;
	s32 adj;
	s32 returned;
	s32 answer;
	u32 kind;
	u32 flags;
	u32 constraint;
	u32 kthreads;
	s32 order;
	u32 pad;
	char comm[16];
	char message[48];
};

/* The OOM that a thread is in. */
struct state {
	u64 number;
	u64 oc;
	u64 task;
	u64 measured;		/* task of the last oom_badness(), and its result */
	s64 badness;
	u64 asked;		/* task of the last bpf_oom_evaluate_task(), and its answer */
	s32 answer;
	u32 kthreads;
	u64 measuring;
	u64 asking;
};

BPF_HASH(states, u32, struct state, 64);
BPF_ARRAY(counts, u64, 2);	/* OOMs, lost records */
BPF_RINGBUF_OUTPUT(records, OOMPOLICY_RING_PAGES);

#ifdef OOMPOLICY_PRIORITIES
struct entry {
	u64 memory_request;
	s32 priority;
	u32 flags;
};
BPF_TABLE_PINNED("hash", u64, struct entry, priorities, 1, OOMPOLICY_PRIORITIES);
#endif
#ifdef OOMPOLICY_SETTINGS
/* User space reads it. */
struct settings {
	u64 minimum_victim_memory;
	s32 host_priority;
	u32 page_shift;
	u32 mode;
	u32 tie_break;
};
BPF_TABLE_PINNED("array", int, struct settings, settings, 1, OOMPOLICY_SETTINGS);
#endif

#define READ(type, base, offset) ({ \
	type _value = 0; \
	bpf_probe_read_kernel(&_value, sizeof(_value), (void *)((u64)(base) + (offset))); \
	_value; })

static __always_inline u32 thread(void)
{
	return (u32)bpf_get_current_pid_tgid();
}

static __always_inline struct record *reserve(struct state *state, u32 kind)
{
	struct record *record = records.ringbuf_reserve(sizeof(struct record));

	if (!record) {
		counts.atomic_increment(1);
		return NULL;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->time_ns = bpf_ktime_get_ns();
	record->oom = state->number;
	record->kind = kind;
	return record;
}

static __always_inline u64 cgroup_id(u64 cgroup)
{
	u64 node = READ(u64, cgroup, CGROUP_KN);

	return READ(u64, node, KERNFS_NODE_ID);
}

static __always_inline void describe_cgroup(struct record *record, u64 task)
{
	u64 cgroup = READ(u64, READ(u64, task, TASK_CGROUPS), CSS_SET_DFL_CGRP);

	record->cgroup_id = cgroup_id(cgroup);
#ifdef OOMPOLICY_PRIORITIES
	for (int i = 0; i < MAX_LEVELS; i++) {
		u64 id = cgroup_id(cgroup);
		struct entry *entry = priorities.lookup(&id);
		u64 parent;

		if (entry) {
			record->priority = entry->priority;
			record->priority_cgroup_id = id;
			record->flags |= HAS_PRIORITY;
			return;
		}
		parent = READ(u64, cgroup, CGROUP_SELF + CSS_PARENT);
		if (!parent)
			return;
		cgroup = parent - CGROUP_SELF;
	}
	record->flags |= TOO_DEEP;
#endif
}

static __always_inline void describe_memory(struct record *record, u64 task)
{
	u64 mm = READ(u64, task, TASK_MM);
	s64 pages;

	if (!mm)
		return;
	pages = READ(u64, mm, MM_PGTABLES_BYTES) / OOMPOLICY_PAGE_SIZE;
#pragma unroll
	for (int i = 0; i < MM_COUNTERS; i++) {
		s64 counter = READ(s64, mm, MM_RSS + i * MM_RSS_STRIDE);

		if (counter > 0)
			pages += counter;
	}
	record->pages = pages;
	record->flags |= HAS_PAGES;
}

static __always_inline void describe(struct record *record, u64 task)
{
	record->pid = READ(s32, task, TASK_PID);
	record->tgid = READ(s32, task, TASK_TGID);
	record->adj = READ(s16, READ(u64, task, TASK_SIGNAL), SIGNAL_OOM_SCORE_ADJ);
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), (void *)(task + TASK_COMM));
	describe_cgroup(record, task);
	describe_memory(record, task);
}

static __always_inline void looked_at(struct state *state, u64 task, u32 flags, s32 returned)
{
	u64 chosen = READ(u64, state->oc, OC_CHOSEN);
	struct record *record;

	if (READ(u32, task, TASK_FLAGS) & PF_KTHREAD) {
		state->kthreads++;
		return;
	}
	record = reserve(state, LOOKED_AT);
	if (!record)
		return;
	describe(record, task);
	record->flags |= flags;
	record->returned = returned;
	record->points = READ(s64, state->oc, OC_CHOSEN_POINTS);
	if (chosen == task)
		record->flags |= IS_CHOSEN;
	if (state->measured == task) {
		record->badness = state->badness;
		record->flags |= HAS_BADNESS;
	}
	if (state->asked == task) {
		record->answer = state->answer;
		record->flags |= HAS_ANSWER;
	}
	records.ringbuf_submit(record, 0);
}

int oom_began(struct pt_regs *ctx)
{
	struct state state = {.oc = PT_REGS_PARM1(ctx)};
	u64 memcg = READ(u64, state.oc, OC_MEMCG);
	int index = 0;
	u64 *number = counts.lookup(&index);
	struct record *record;
	u32 tid = thread();

	if (!number)
		return 0;
	/* The kernel holds oom_lock, so nothing else counts now. An atomic addition with a result needs Linux 5.12. */
	*number += 1;
	state.number = *number;
	states.update(&tid, &state);
	record = reserve(&state, BEGAN);
	if (!record)
		return 0;
	record->pid = tid;
	record->tgid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	record->order = READ(s32, state.oc, OC_ORDER);
	if (memcg)
		record->cgroup_id = cgroup_id(READ(u64, memcg, MEMCG_CSS + CSS_CGROUP));
	records.ringbuf_submit(record, 0);
	return 0;
}

int evaluation_began(struct pt_regs *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);

	if (state)
		state->task = PT_REGS_PARM1(ctx);
	return 0;
}

/*
 * The answer of the hook and the badness may come before or after
 * evaluation_began(), because a module may call the hook from a callback at the
 * begin of the same function. Each belongs to a task, so the order does not count.
 */
int evaluation_ended(struct pt_regs *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);

	if (!state || !state->task)
		return 0;
	looked_at(state, state->task, 0, PT_REGS_RC(ctx));
	state->task = 0;
	state->measured = 0;
	state->asked = 0;
	return 0;
}

int badness_began(struct pt_regs *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);

	if (state)
		state->measuring = PT_REGS_PARM1(ctx);
	return 0;
}

int badness_ended(struct pt_regs *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);

	if (!state || !state->measuring)
		return 0;
	state->measured = state->measuring;
	state->badness = PT_REGS_RC(ctx);
	state->measuring = 0;
	if (state->task != state->measured)
		looked_at(state, state->measured, INLINED, 0);
	return 0;
}

int hook_began(struct pt_regs *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);

	if (state)
		state->asking = PT_REGS_PARM1(ctx);
	return 0;
}

int hook_ended(struct pt_regs *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);

	if (!state || !state->asking)
		return 0;
	state->asked = state->asking;
	state->answer = PT_REGS_RC(ctx);
	state->asking = 0;
	return 0;
}

int kill_began(struct pt_regs *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);
	struct record *record;

	if (!state)
		return 0;
	record = reserve(state, CHOSEN);
	if (!record)
		return 0;
	describe(record, READ(u64, state->oc, OC_CHOSEN));
	record->points = READ(s64, state->oc, OC_CHOSEN_POINTS);
	bpf_probe_read_kernel_str(record->message, sizeof(record->message), (void *)PT_REGS_PARM2(ctx));
	records.ringbuf_submit(record, 0);
	return 0;
}

int signal_generated(struct bpf_raw_tracepoint_args *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);
	struct record *record;

	if (!state || (int)ctx->args[0] != SIGKILL)
		return 0;
	record = reserve(state, SIGNALLED);
	if (!record)
		return 0;
	describe(record, ctx->args[2]);
	records.ringbuf_submit(record, 0);
	return 0;
}

int victim_marked(struct bpf_raw_tracepoint_args *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);
	struct record *record;

	if (!state)
		return 0;
	record = reserve(state, MARKED);
	if (!record)
		return 0;
#ifdef MARK_VICTIM_HAS_TASK
	describe(record, ctx->args[0]);
	record->flags |= HAS_TASK;
#else
	record->pid = ctx->args[0];
#endif
	records.ringbuf_submit(record, 0);
	return 0;
}

int oom_ended(struct pt_regs *ctx)
{
	u32 tid = thread();
	struct state *state = states.lookup(&tid);
	struct record *record;

	if (!state)
		return 0;
	record = reserve(state, ENDED);
	if (record) {
		record->returned = (u8)PT_REGS_RC(ctx);
		record->points = READ(s64, state->oc, OC_TOTALPAGES);
		record->constraint = READ(u32, state->oc, OC_CONSTRAINT);
		record->kthreads = state->kthreads;
		records.ringbuf_submit(record, 0);
	}
	states.delete(&tid);
	return 0;
}
