"""The one process: provider paths, wallet, controls and the notifier, on one port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from sandbox.context import Context, Settings
from sandbox.control.agreeing import Agreeing
from sandbox.control.faulting import Faulting
from sandbox.control.looking import Looking
from sandbox.control.paying import Paying
from sandbox.control.refunding import Refunding
from sandbox.control.requests import errors_as_json
from sandbox.notifier import stop
from sandbox.store import Store
from sandbox.wallet.agreements import AgreementPages
from sandbox.wallet.pages import Wallet

log = logging.getLogger("sandbox")
HOST = "127.0.0.1"
# Held connections of an ordered time-out must not hold up the end.
SHUTDOWN_SECONDS = 2.0
CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)


def build_app(context: Context) -> web.Application:
    app = web.Application(middlewares=[errors_as_json], client_max_size=1024 * 1024)
    app[CONTEXT] = context
    for channel in context.channels.values():
        app.add_routes(channel.routes())
    parts = (
        Paying(context), Faulting(context), Refunding(context), Looking(context), Agreeing(context),
        AgreementPages(context), Wallet(context),
    )  # fmt: skip
    for part in parts:
        app.add_routes(part.routes())
    app.add_routes([web.get("/healthz", _healthz)])
    app.cleanup_ctx.append(_notifying)
    return app


async def _healthz(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _notifying(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[CONTEXT].notifier.run())
    yield
    await stop(task)


async def start(context: Context, port: int) -> tuple[web.AppRunner, int]:
    """Serve in the running loop; port 0 takes a free one. Answers the runner and the real port."""
    runner = web.AppRunner(build_app(context), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    site = web.TCPSite(runner, HOST, port, backlog=1024)
    await site.start()
    real_port = int(runner.addresses[0][1])
    context.store.set_setting("base_url", f"http://{HOST}:{real_port}")
    return runner, real_port


def serve(state: Path, port: int, settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises OSError for a busy port or an unusable directory."""
    asyncio.run(_serve(state, port, settings))


async def _serve(state: Path, port: int, settings: Settings) -> None:
    store = Store(state)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    runner, real_port = await start(Context(store, settings), port)
    sys.stdout.write(f"sandbox: http://{HOST}:{real_port}/wallet\n")
    sys.stdout.flush()
    try:
        await done.wait()
    finally:
        await runner.cleanup()
        store.close()
