/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM oompolicy

#if !defined(_OOMPOLICY_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _OOMPOLICY_TRACE_H

#include <linux/oom.h>
#include <linux/tracepoint.h>

/* The scan has ended and chose no task. */
TRACE_EVENT(select_bad_process_end,
	TP_PROTO(struct oom_control *oc),
	TP_ARGS(oc),
	TP_STRUCT__entry(
		__field(bool, memcg)
		__field(int, order)
	),
	TP_fast_assign(
		__entry->memcg = oc->memcg;
		__entry->order = oc->order;
	),
	TP_printk("memcg=%d order=%d", __entry->memcg, __entry->order)
);

#endif /* _OOMPOLICY_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE oompolicy_trace
#include <trace/define_trace.h>
