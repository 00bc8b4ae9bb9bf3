/* SPDX-License-Identifier: Apache-2.0 */
/* The registers at a probe, in the order of each architecture's ABI. */
#ifndef OOMPOLICY_TRACE_PTRACE_H
#define OOMPOLICY_TRACE_PTRACE_H

#if defined(__x86_64__)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__aarch64__)
struct pt_regs {
	unsigned long regs[31];
	unsigned long sp, pc, pstate;
};
#else
#error "oompolicy-trace knows the registers of x86-64 and arm64 only"
#endif

#endif
