# SPDX-License-Identifier: Apache-2.0
"""`oompolicy-trace`: a witness of the OOM killer on a node, written with bcc.

It watches the kernel's own functions with kprobes and raw tracepoints, and shows each task that the kernel looked at,
the task chosen and the processes killed. It changes no choice. It shares no code with `bpf/`, `oompolicy` or
`oompolicy_agent`, and reads none of their records, so that it can prove or disprove what they report.
Of oompolicy it reads the pinned maps `cgroup_priority` and `settings` alone, to show the priority that applied.

`btf` and `offsets` find the fields of the kernel's structs, `program.c` is what runs in the kernel, `probes` and
`tracer` attach it, `records` reads what it writes, `story` joins the records of one OOM, and `verdicts` says what
happened to a task. `document` and `screen` show it. All but `tracer`, `node` and `main` is pure.
"""
