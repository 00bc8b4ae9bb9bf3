/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of the compiler has the page size of this machine. */
#define PAGE_SIZE OOMPOLICY_PAGE_SIZE
