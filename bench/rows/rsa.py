"""What signing with RSA2 instead of HMAC adds to a call, beside one bare verification.

In one process and without the nonce's row: beside a whole request it is too little to be seen.
"""

from __future__ import annotations

import statistics
import time
from base64 import b64encode
from collections.abc import Callable, Mapping

from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series

_CALLS, _TURNS = 200, 31
_BODY = b'{"merchant_no":"M0000000001","method":"wechat_native","app_order_no":"ORDER-1","amount":100}'


def measure() -> dict[str, float]:
    """Milliseconds of processor time: authenticating with RSA2, with HMAC, and verifying bare. Runs in a worker."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    from merchants.models import App, AppKey
    from paycenter.memory import Memory
    from sandbox import keys

    app, private = App.objects.get(), keys.new_rsa()
    secret = AppKey.objects.get(app=app, kind=AppKey.Kind.HMAC).value
    AppKey.objects.filter(app=app, kind=AppKey.Kind.RSA).delete()
    AppKey.objects.create(app=app, kind=AppKey.Kind.RSA, value=keys.public_pem(private))
    Memory.forget_all()  # of the key before
    stamp = str(int(time.time()))
    text = f"POST\n/v1/gopay\n{stamp}\n{'n' * 24}\n".encode() + _BODY + b"\n"
    signature = private.sign(text, padding.PKCS1v15(), hashes.SHA256())
    digest = hmac.digest(secret.encode(), text, hashlib.sha256)
    public, pad, algorithm = private.public_key(), padding.PKCS1v15(), hashes.SHA256()
    return _in_turn({
        "rsa": _authenticating(app.app_id, "RSA2", stamp, signature),
        "hmac": _authenticating(app.app_id, "HMAC-SHA256", stamp, digest),
        "bare": lambda: public.verify(signature, text, pad, algorithm),
    })  # fmt: skip


def _authenticating(app_id: str, kind: str, stamp: str, signature: bytes) -> Callable[[], object]:
    from django.test import RequestFactory

    from merchants.api import authentication

    headers = {
        "X-App-Id": app_id, "X-Timestamp": stamp, "X-Nonce": "n" * 24, "X-Sign-Type": kind,
        "X-Signature": b64encode(signature).decode(),
    }  # fmt: skip
    request = RequestFactory().post("/v1/gopay", _BODY, content_type="application/json", headers=headers)
    return lambda: authentication.authenticate(request, _BODY)


def _in_turn(works: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of processor time for each, the median of short turns: what disturbs one disturbs its neighbours."""
    from unittest import mock

    from django.test import override_settings

    from merchants.api import authentication

    took: dict[str, list[float]] = {name: [] for name in works}
    with mock.patch.object(authentication, "_spend_nonce"), override_settings(CONFIGURATION_MEMORY=60):
        for _turn in range(_TURNS):
            for name, work in works.items():
                took[name].append(_milliseconds(work))
    return {name: statistics.median(times[1:]) for name, times in took.items()}


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(_CALLS):
        work()
    return (time.process_time() - began) * 1000 / _CALLS


def _added(stage: Stage) -> Pairs:
    series = Series("ms")
    for _ in range(stage.runs):
        found = stage.site.worker.call("bench.rows.rsa:measure")
        series.add(found["rsa"] - found["hmac"], found["bare"])
    return series.pairs()


ROWS = (Row("gopay_rsa2", "what RSA2 adds to HMAC", "one bare RSA-2048 verification", Bar(1.5, 1.1), _added),)
