"""One run of a command: how long it takes, and how much memory."""

import os
import subprocess
import sys
import tempfile
import time


def measured(command, folder):
    """Runs a command: seconds, processor seconds, peak memory of the process in MB; and what it printed."""
    with tempfile.TemporaryFile() as out:
        began = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        # Told what `wait4` has seen, so that nobody waits for it again.
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} in {folder} ended with {process.returncode}:\n{text}")
    return (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), text
