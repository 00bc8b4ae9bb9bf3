/* SPDX-License-Identifier: Apache-2.0 */
/* bcc refuses to compile without this macro. */
#define CONFIG_BPF_SYSCALL 1
