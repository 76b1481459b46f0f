"""`python -m fuseline` is the command."""

import os
import subprocess
import sys

from fuseline._binary import find_binary


def main() -> int:
    arguments = [find_binary(), *sys.argv[1:]]
    if os.name == "posix":
        os.execv(arguments[0], arguments)
    return subprocess.call(arguments)


if __name__ == "__main__":
    sys.exit(main())
