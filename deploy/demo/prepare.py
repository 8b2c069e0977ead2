"""`python -m deploy.demo.prepare`: migrate, seed what is missing, and leave `seed.json` for the supervisor.

Every step looks at what is there first, so an interrupted one is simply done again. The last line
on standard error says what went wrong.
"""

from __future__ import annotations

import os
import sys
import traceback

from deploy.demo.layout import Trouble, read


def main() -> int:
    try:
        layout = read()
        _set_up()
        from deploy.demo.seed import seed

        seed(layout)
    except Trouble as exc:
        print(exc, file=sys.stderr)
        return 1
    except Exception as exc:
        traceback.print_exc()
        print(f"The database could not be prepared: {type(exc).__name__}: {exc}".splitlines()[0], file=sys.stderr)
        return 1
    return 0


def _set_up() -> None:
    """Raises Trouble where settings or the database are unusable."""
    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import call_command
    from django.db import DatabaseError

    try:
        django.setup()
        call_command("migrate", interactive=False, verbosity=0)
    except ImproperlyConfigured as exc:
        raise Trouble(f"The settings are unusable: {exc}") from exc
    except DatabaseError as exc:
        reason = str(exc).strip().replace("\n", " ")
        raise Trouble(f"The database cannot be used ({reason}). Look at DATABASE_URL and the server.") from exc


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: connections kept for reuse would still be complained about, below the reason above.
    os._exit(code)
