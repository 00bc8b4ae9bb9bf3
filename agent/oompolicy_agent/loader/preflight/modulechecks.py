# SPDX-License-Identifier: Apache-2.0
"""Decide whether a module can be built on this node, and whether the kernel loads it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.loader import module
from oompolicy_agent.loader.preflight.check import Check, Verdict, Way, row, ways
from oompolicy_agent.loader.preflight.collect import REDIRECTED
from oompolicy_agent.loader.preflight.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oompolicy_agent.loader.preflight.facts import Facts, Offered


def module_checks(facts: Facts) -> Iterator[Check]:
    """Yield the rows about the file of the module, and about building one."""
    has_btf = facts.module_btf
    if isinstance(has_btf, Unknown):
        yield Check("module BTF", "unknown", Verdict.UNKNOWN, has_btf.reason, ways(Way.LOAD))
    else:
        lacking = "this kernel was built without CONFIG_DEBUG_INFO_BTF_MODULES: no program finds a module's hook"
        yield row("module BTF", "yes", "no", None if has_btf else lacking, Way.LOAD)
    if facts.offered:
        yield _offered(facts.offered)
    yield from _build(facts)


def _offered(offered: Offered) -> Check:
    if not offered.exists:
        missing = f"{offered.file} does not exist, or cannot be read"
        return Check("module file", "missing", Verdict.NO, missing, ways(Way.LOAD))
    useless = None if offered.btf else f"{offered.file} {module.NO_BTF}"
    signed = "signed" if offered.signed else "not signed"
    return row("module file", f"{offered.file}, {signed}", "without BTF", useless, Way.LOAD)


def _build(facts: Facts) -> Iterator[Check]:
    headers = facts.headers
    absent = None if headers.exists else f"no module can be built: there is no {headers.folder}/Makefile"
    yield row("headers", str(headers.folder), "missing", absent, Way.BUILD)
    if headers.exists:
        lacking = None if headers.resolver else f"no module can be built: {headers.folder} has no resolve_btfids"
        yield row("resolve_btfids", "yes", "missing", lacking, Way.BUILD)
    made_by = f"; {facts.compiler} made the kernel" if facts.compiler else ""
    if facts.missing:
        listed = ", ".join(facts.missing)
        absent = f"no module can be built: not installed: {listed}"
        yield Check("compiler", f"missing: {listed}{made_by}", Verdict.NO, absent, ways(Way.BUILD))
    elif facts.compiler.startswith("clang"):
        mixed = "a module from another compiler was never tried on such a kernel"
        yield Check("compiler", f"installed{made_by}", Verdict.NOTE, mixed)
    else:
        yield Check("compiler", f"installed{made_by}")


def refusals(facts: Facts) -> Iterator[Check]:
    """Yield the rows about what makes a kernel refuse a module."""
    yield _lockdown(facts)
    yield _secure_boot(facts)
    yield _loading(facts)
    yield _signatures(facts)
    pinned = "LoadPin refuses modules from outside of the root file system" if facts.loadpin else None
    yield row("LoadPin", "off", "on", pinned, Way.LOAD)
    patched = f"the module refuses to load: {', '.join(facts.live_patches)} changes {REDIRECTED}()"
    yield row("live patches", f"none of {REDIRECTED}()", "yes", patched if facts.live_patches else None, Way.LOAD)
    yield _redirected(facts)


def _loading(facts: Facts) -> Check:
    if not facts.takes_modules:
        without = "this kernel was built without CONFIG_MODULES, and loads no module"
        return Check("modules", "none", Verdict.NO, without, ways(Way.LOAD))
    disabled = "kernel.modules_disabled=1: the kernel loads no module until it reboots"
    return row("modules", "can be loaded", "disabled", disabled if facts.modules_disabled else None, Way.LOAD)


def _lockdown(facts: Facts) -> Check:
    mode = facts.lockdown
    if isinstance(mode, Unknown):
        return Check("lockdown", "unknown", Verdict.UNKNOWN, mode.reason, ways(Way.ATTACH, Way.LOAD))
    if mode is None:
        return Check("lockdown", "none")
    if mode == "confidentiality":
        hidden = "the lockdown forbids BPF programs to read the kernel's memory"
        return Check("lockdown", mode, Verdict.NO, hidden, ways(Way.ATTACH, Way.LOAD))
    return _only_signed(facts, "lockdown", mode)


def _signatures(facts: Facts) -> Check:
    if facts.sig_enforce:
        return _only_signed(facts, "module signatures", "required (module.sig_enforce)")
    return Check("module signatures", "not checked" if facts.sig_enforce is None else "not required")


def _only_signed(facts: Facts, name: str, found: str) -> Check:
    """Return the row of a kernel that takes only modules with a signature by a key that it trusts."""
    if facts.offered and facts.offered.signed:
        unsure = "only a load shows whether the kernel trusts the key of the module"
        return Check(name, found, Verdict.UNKNOWN, unsure, ways(Way.LOAD))
    unsigned = "the kernel refuses a module that is not signed by a key that it trusts"
    return Check(name, found, Verdict.NO, unsigned, ways(Way.LOAD))


def _secure_boot(facts: Facts) -> Check:
    on = facts.secure_boot
    if isinstance(on, Unknown):
        return Check("Secure Boot", "unknown", Verdict.UNKNOWN, on.reason)
    if on:
        return Check("Secure Boot", "on", Verdict.NOTE, "most distributions lock down the kernel then: see lockdown")
    return Check("Secure Boot", "off")


def _redirected(facts: Facts) -> Check:
    found = facts.redirected
    if isinstance(found, Unknown):
        return Check("ftrace", "unknown", Verdict.UNKNOWN, found.reason)
    taken = f"the module refuses to load: another program redirects {REDIRECTED}()" if found else None
    return row("ftrace", "free", "redirected", taken, Way.LOAD)
