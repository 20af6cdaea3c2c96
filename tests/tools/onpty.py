#!/usr/bin/env python3
"""Runs a command on a terminal of 80 columns and gives what the terminal got.

onpty.py [--int PATTERN] COMMAND…: with --int, what the user would do when PATTERN appears: Ctrl-C. The exit code is the command's;
a command that ignores Ctrl-C for 60 s is killed.
"""
import fcntl
import os
import re
import select
import struct
import sys
import termios
import time


def on_terminal(words):
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    pid = os.fork()
    if pid == 0:
        os.close(main)
        take(side)
        os.execvp(words[0], words)
    os.close(side)
    return pid, main


def take(side):
    os.setsid()
    fcntl.ioctl(side, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(side, fd)


def main():
    words, pattern = sys.argv[1:], None
    if words[0] == "--int":
        pattern, words = re.compile(words[1].encode()), words[2:]
    pid, terminal = on_terminal(words)
    shown, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.05)[0]:
            continue
        try:
            got = os.read(terminal, 65536)
        except OSError:
            break
        if not got:
            break
        shown += got
        if pattern and pattern.search(shown):
            os.write(terminal, b"\x03")
            pattern = None
    else:
        os.kill(pid, 9)
    sys.stdout.buffer.write(shown)
    sys.stdout.flush()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)


main()
