#!/usr/bin/env python3
"""Starts a program in a root file system as a container engine starts it where the root is read-only: as the user of a number, as process
1, without capabilities and without a way to new ones. It sees its root, /proc and the files that are given, and not even /dev. The network is
the machine's.

    contained.py ROOT USER WORKING_DIR [--file FILE PATH]... -- PROGRAM [ARGUMENT]...

--file shows a file of this machine in place of a file of the root, as engines mount secrets.
Needs Linux with util-linux 2.38, and the right to mount (CAP_SYS_ADMIN, which root may lack) or user namespaces.
"""

import ctypes
import os
import subprocess
import sys

# Of <linux/prctl.h> and <linux/capability.h>.
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
CAP_SYS_ADMIN = 21

libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function.__name__}{arguments}: {os.strerror(number)}")


def again(stage, launcher, arguments):
    """Goes on with a later stage of this script as what `launcher` starts."""
    os.execvp(launcher[0], [*launcher, "--", sys.executable, __file__, stage, *arguments])


def may_mount():
    with open("/proc/self/status") as status:
        (effective,) = (line.split()[1] for line in status if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> CAP_SYS_ADMIN & 1)


def separate(arguments):
    own = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    # Who may not becomes root of a namespace that has nobody else.
    how = "owner" if may_mount() else "mapped"
    again("--mount", own if how == "owner" else [*own, "--map-root-user"], [how, *arguments])


def mount(arguments):
    how, root, user, *rest = arguments
    run = lambda *words: subprocess.run(["mount", *words], check=True)
    run("--make-rprivate", "/")
    run("--bind", root, root)
    run("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", f"{root}/proc")
    at = rest.index("--")
    for option, file, path in zip(*[iter(rest[1:at])] * 3, strict=True):
        assert option == "--file", __doc__
        run("--bind", file, root + path)
        run("-o", "remount,bind,ro,nosuid,nodev", root + path)
    run("-o", "remount,bind,ro,nosuid,nodev", root)
    rest = [root, user, rest[0], *rest[at + 1 :]]
    if how == "owner":
        become([how, *rest])
    else:
        # The one user that there is gets the number in one more namespace.
        again("--become", ["unshare", "--user", f"--map-user={user}", f"--map-group={user}", "--keep-caps"], [how, *rest])


def become(arguments):
    how, root, user, directory, *command = arguments
    last = int(open("/proc/sys/kernel/cap_last_cap").read())
    os.chroot(root)
    os.chdir(directory)
    call(libc.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(last + 1):
        call(libc.prctl, PR_CAPBSET_DROP, capability, 0, 0, 0)
    if how == "owner":
        os.setgroups([int(user)])
        os.setresgid(*[int(user)] * 3)
        os.setresuid(*[int(user)] * 3)
    # Effective, permitted and inheritable, of 64 bits in two halves.
    call(libc.capset, (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)())
    call(libc.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execv(command[0], command)


if __name__ == "__main__":
    stage, *arguments = sys.argv[1:] or sys.exit(__doc__)
    {"--mount": mount, "--become": become}.get(stage, lambda _: separate(sys.argv[1:]))(arguments)
