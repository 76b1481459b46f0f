"""`python -m fuseline` is the command."""

import os
import subprocess
import sys

from fuseline._binary import environment, find_binary


def main() -> int:
    arguments = [find_binary(), *sys.argv[1:]]
    if os.name == "posix":
        os.execve(arguments[0], arguments, environment())
    return subprocess.call(arguments, env=environment())


if __name__ == "__main__":
    sys.exit(main())
