#!/bin/sh
# Finds a suitable Python, names what is missing, and hands over to deploy/environment.py.
# Usage: deploy/run.sh runtime|dev MODULE [ARGUMENT ...]    (runs `python -m MODULE` in .venv)
set -eu
cd "$(dirname "$0")/.."

python=""
for name in ${PAYCENTER_PYTHON:-python3.13 python3.12 python3.11 python3}; do
    # A name on PATH may be a shim for a version that is not installed: ask it to run.
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then
    if command -v python3 >/dev/null 2>&1; then
        echo "Python 3.11, 3.12 or 3.13 is needed; python3 here is $(python3 -V 2>&1 | cut -d' ' -f2)." >&2
        echo "Install one (Debian 12 and 13: sudo apt-get install python3 python3-venv) or set PAYCENTER_PYTHON." >&2
    else
        echo "Python 3 is missing. Install it with: sudo apt-get install python3 python3-venv" >&2
    fi
    exit 1
fi
exec "$python" deploy/environment.py "$@"
