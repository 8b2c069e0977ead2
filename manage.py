#!/usr/bin/env python
"""Django's command line for the payment center."""

import json
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paycenter.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        if sys.argv[1:2] != ["doctor"]:
            raise
        _refused(str(exc), as_json="--json" in sys.argv)


def _refused(reasons: str, *, as_json: bool) -> None:
    """What the doctor says where the settings themselves refuse to be used; every reason names what to set."""
    code = "configuration.refused"
    found = [{"code": code, "level": "error", "text": one, "advice": ""} for one in reasons.split("; ")]
    if as_json:
        sys.stdout.write(json.dumps({"status": 2, "findings": found}, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.writelines(f"  ✗ {one['text']}\n" for one in found)
    sys.exit(2)


if __name__ == "__main__":
    main()
