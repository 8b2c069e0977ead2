"""Serves actions over standard input and output, one JSON object a line."""

import json
import sys


def serve(actions):
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"result": actions[asked.pop("do")](**asked)}
        except Exception as exc:
            answer = {"error": f"{type(exc).__name__}: {exc}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
