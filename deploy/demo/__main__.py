"""`python -m deploy.demo`, the program behind `make demo`."""

from __future__ import annotations

import os
import signal
import sys

from deploy.demo.claim import check_ports, claim, make_directories
from deploy.demo.layout import Trouble, read
from deploy.demo.supervisor import Supervisor


def main() -> int:
    # What is made here holds keys and payments: for its owner only.
    os.umask(0o077)
    try:
        layout = read()
        make_directories(layout)
        lock = claim(layout)
        layout.document.unlink(missing_ok=True)
        check_ports(layout)
        Supervisor(layout, lock).run()
    except Trouble as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
