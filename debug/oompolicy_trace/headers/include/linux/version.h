/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that this program runs on ignore the version that a program was compiled for. */
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 10, 0)
