"""Command line: `serve` runs the stand-ins, `issue` signs a merchant's contract with one of them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from sandbox.channel import Contract, channel_classes
from sandbox.context import Settings
from sandbox.records import Account
from sandbox.server import serve
from sandbox.store import Store

DEFAULT_PORT = 8001


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "serve":
            serve(arguments.state, arguments.port, Settings(
                ladder_speed=arguments.ladder_speed, refund_delay=arguments.refund_delay,
                same_day_bills=arguments.same_day_bills, qr_trade_on_scan=arguments.qr_trade_on_scan,
            ))  # fmt: skip
        else:
            issue(arguments)
    except OSError as exc:
        sys.stderr.write(f"sandbox: {exc}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("serve", help="run every stand-in on one port of 127.0.0.1")
    run.add_argument("--state", type=Path, required=True, metavar="DIR")
    run.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    run.add_argument("--ladder-speed", type=_positive, default=60.0, metavar="FACTOR",
                     help="the providers' notification retry schedules are divided by this")  # fmt: skip
    run.add_argument("--refund-delay", type=float, default=1.0, metavar="SECONDS")
    run.add_argument("--same-day-bills", action="store_true", help="let merchants download today's bill too")
    run.add_argument("--qr-trade-on-scan", action="store_true",
                     help="an Alipay QR order exists only once it is scanned, as in production")  # fmt: skip
    sign = commands.add_parser("issue", help="sign a merchant's contract and write its parameters")
    sign.add_argument("--state", type=Path, required=True, metavar="DIR")
    sign.add_argument("--channel", choices=sorted(channel_classes()), required=True)
    sign.add_argument("--name", required=True)
    sign.add_argument("--payment-no", default=None, help="names the account in control calls")
    sign.add_argument("--mode", default=None)
    sign.add_argument("--base-url", default=None, help="where the merchant reaches the sandbox")
    sign.add_argument("--out", type=Path, required=True, metavar="FILE")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def issue(arguments: argparse.Namespace) -> None:
    """Create the account at the stand-in and write the merchant's form values (mode 0600)."""
    kind = channel_classes()[arguments.channel]
    mode = arguments.mode or kind.modes[0]
    if mode not in kind.modes:
        raise SystemExit(f"sandbox: --mode must be one of {', '.join(kind.modes)}")
    store = Store(arguments.state)
    try:
        base_url = arguments.base_url or store.setting("base_url") or f"http://127.0.0.1:{DEFAULT_PORT}"
        contract = kind.sign_contract(name=arguments.name, mode=mode, base_url=base_url.rstrip("/"))
        write_private(arguments.out, contract)
        store.add_account(Account(
            channel=kind.code, key=contract.key, name=arguments.name, config=contract.config,
            payment_no=arguments.payment_no or contract.key, secrets=contract.secrets,
        ))  # fmt: skip
    finally:
        store.close()


def write_private(path: Path, contract: Contract) -> None:
    """Written beside its place and moved there, never readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump(contract.config, out, ensure_ascii=False, indent=2)
    part.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
