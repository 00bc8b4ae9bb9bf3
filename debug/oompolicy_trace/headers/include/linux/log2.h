/* SPDX-License-Identifier: Apache-2.0 */
/* bcc includes this file. The program needs nothing of it. */
