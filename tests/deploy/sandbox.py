#!/usr/bin/python3
"""Runs a command under what a systemd unit says, as far as that goes without systemd: its system calls, its kinds of
sockets, no memory that is both written and executed, no namespaces, its limits, a user without any privilege. Whatever the
unit forbids kills the command at once (SIGSYS), so that nothing that fails goes unnoticed.

usage: sandbox.py UNIT [--deny CALL] COMMAND...      (--deny: one more call is forbidden, to see that it is noticed)
"""

import errno
import mmap
import os
import resource
import socket
import subprocess
import sys

import seccomp  # Debian: python3-seccomp

NAMESPACES = 0x7E020080  # all CLONE_NEW* flags
NOBODY = 65532


def settings(unit):
    """Every line of a section as (key, value); those without a section are none of ours."""
    with open(unit, encoding="utf-8") as lines:
        for line in lines:
            if "=" in line and line[0] not in "#;[":
                key, value = line.rstrip("\n").split("=", 1)
                yield key, value


def calls(name):
    """The system calls of a set such as @system-service, with those of the sets in it."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True).stdout
    words = (line.strip() for line in text.splitlines()[1:])
    found = set()
    for word in words:
        if word and not word.startswith("#"):
            found |= calls(word)
    return found


def allowed(unit):
    """What SystemCallFilter= leaves, its lines in order."""
    result = calls("@default")
    for key, value in settings(unit):
        if key == "SystemCallFilter":
            forbids = value.startswith("~")
            for name in value.lstrip("~").split():
                result = result - calls(name) if forbids else result | calls(name)
    return result


def restrict(unit, denied):
    said = dict(settings(unit))
    rules = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
    special = {"socket", "mmap", "mprotect", "pkey_mprotect", "clone", "clone3", "unshare", "setns"}
    for call in sorted(allowed(unit) - special - denied):
        try:
            rules.add_rule(seccomp.ALLOW, call)
        except (OSError, RuntimeError, ValueError):
            pass  # Not a call of this machine or of this libseccomp: forbidden.
    if "socket" not in denied:
        for family in said["RestrictAddressFamilies"].split():
            rules.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, getattr(socket, family)))
    assert said["MemoryDenyWriteExecute"] == "yes" and said["RestrictNamespaces"] == "yes"
    for never in (mmap.PROT_WRITE, mmap.PROT_EXEC):
        rules.add_rule(seccomp.ALLOW, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, never, 0))
    rules.add_rule(seccomp.ALLOW, "mprotect", seccomp.Arg(2, seccomp.MASKED_EQ, mmap.PROT_EXEC, 0))
    rules.add_rule(seccomp.ALLOW, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, NAMESPACES, 0))
    # As systemd does it: its flags lie in memory, so libc is sent back to clone.
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")

    files = min(int(said["LimitNOFILE"]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(int(said["UMask"], 8))
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # Sets no_new_privs as well.
    rules.load()


def main():
    arguments = sys.argv[1:]
    unit = arguments.pop(0)
    denied = set()
    while arguments[0] == "--deny":
        denied.add(arguments[1])
        arguments = arguments[2:]
    restrict(unit, denied)
    os.execvp(arguments[0], arguments)


main()
