// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module with a function dump_header(), which the kernel has as well. Any
 * write to /sys/module/samename/parameters/call calls it, with an argument that
 * no code may dereference.
 */
#include <linux/module.h>

/* A clone for the constant argument would have another name. */
static noinline __noclone __used void dump_header(void *argument)
{
	pr_info("dump_header(%px)\n", argument);
}

static int call(const char *value, const struct kernel_param *parameter)
{
	dump_header((void *)0x10);
	return 0;
}

static const struct kernel_param_ops call_ops = {
	.set = call,
};

module_param_cb(call, &call_ops, NULL, 0200);
MODULE_PARM_DESC(call, "write anything: dump_header() is called");

MODULE_DESCRIPTION("a function with the name of a function that oompolicy_hook uses");
MODULE_LICENSE("GPL");
