"""What signing with RSA2 instead of HMAC adds to a call, beside one bare verification.

In one process and without the nonce's row: beside a whole request it is too little to be seen.
"""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any

from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series

_CALLS = 3000
_BODY = b'{"merchant_no":"M0000000001","method":"wechat_native","app_order_no":"ORDER-1","amount":100}'


def measure() -> dict[str, float]:
    """Milliseconds of processor time: authenticating with RSA2, with HMAC, and verifying bare. Runs in a worker."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    from merchants.models import App, AppKey
    from sandbox import keys

    app, private = App.objects.get(), keys.new_rsa()
    secret = AppKey.objects.get(app=app, kind=AppKey.Kind.HMAC).value
    AppKey.objects.filter(app=app, kind=AppKey.Kind.RSA).delete()
    AppKey.objects.create(app=app, kind=AppKey.Kind.RSA, value=keys.public_pem(private))
    stamp = str(int(time.time()))
    text = f"POST\n/v1/gopay\n{stamp}\n{'n' * 24}\n".encode() + _BODY + b"\n"
    signature = private.sign(text, padding.PKCS1v15(), hashes.SHA256())
    digest = hmac.digest(secret.encode(), text, hashlib.sha256)
    public = private.public_key()
    return {
        "rsa": _authenticating(app.app_id, "RSA2", stamp, signature),
        "hmac": _authenticating(app.app_id, "HMAC-SHA256", stamp, digest),
        "bare": _milliseconds(lambda: public.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())),
    }


def _authenticating(app_id: str, kind: str, stamp: str, signature: bytes) -> float:
    from unittest import mock

    from django.test import RequestFactory, override_settings

    from merchants.api import authentication

    headers = {
        "X-App-Id": app_id, "X-Timestamp": stamp, "X-Nonce": "n" * 24, "X-Sign-Type": kind,
        "X-Signature": b64encode(signature).decode(),
    }  # fmt: skip
    request = RequestFactory().post("/v1/gopay", _BODY, content_type="application/json", headers=headers)
    with mock.patch.object(authentication, "_spend_nonce"), override_settings(CONFIGURATION_MEMORY=60):
        return _milliseconds(lambda: authentication.authenticate(request, _BODY))


def _milliseconds(work: Any) -> float:
    for _ in range(50):
        work()
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
