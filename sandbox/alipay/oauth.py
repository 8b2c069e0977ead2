"""Who the payer is: `publicAppAuthorize.htm` and `alipay.system.oauth.token`; and the certificate download."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from sandbox.alipay.envelope import Params, Refused
from sandbox.context import Context
from sandbox.records import Account

CODE_SECONDS = 24 * 3600  # https://opendocs.alipay.com/open/02aile
# The one person who holds the sandbox's phone.
PAYER_ID = "2088622000000017"


def authorize(context: Context, request: web.Request) -> web.Response:
    """The payer agrees silently (`auth_base`) and is sent back with a code."""
    query = request.query
    app_id, target = query.get("app_id", ""), query.get("redirect_uri", "")
    if context.store.account("alipay", app_id) is None:
        return web.Response(status=400, text="app_id 无效")
    if urlsplit(target).scheme not in ("http", "https"):
        return web.Response(status=400, text="redirect_uri 无效")
    if query.get("scope") not in ("auth_base", "auth_user"):
        return web.Response(status=400, text="scope 无效")
    code = context.token()
    context.store.add_token(code, "alipay_auth", {"app_id": app_id}, context.clock() + CODE_SECONDS)
    back = {"app_id": app_id, "source": "alipay_wallet", "scope": query["scope"], "auth_code": code}
    if "state" in query:
        back["state"] = query["state"]
    raise web.HTTPFound(f"{target}{'&' if '?' in target else '?'}{urlencode(back)}")


class Tokens:
    def __init__(self, context: Context) -> None:
        self.context = context

    def token(self, account: Account, params: Params, biz: Mapping[str, Any], base: str) -> dict[str, Any]:
        """Exchange a code, once. The success answer has no `code` of its own."""
        if params.get("grant_type") != "authorization_code":
            raise Refused("40002", "isv.grant-type-invalid", "grant_type参数不正确")
        known = self.context.store.token(params.get("code", ""), "alipay_auth")
        if known is None or known[0]["app_id"] != account.key or known[2] or known[1] < self.context.clock():
            raise Refused("40002", "isv.code-invalid", "授权码code无效")
        self.context.store.use_token(params["code"])
        return {
            "access_token": "authbseB" + self.context.token(), "alipay_user_id": self.context.token(),
            "expires_in": 1296000, "re_expires_in": 2592000, "refresh_token": "authbseB" + self.context.token(),
            "user_id": PAYER_ID,
        }  # fmt: skip

    def certificate(self, account: Account, params: Params, biz: Mapping[str, Any], base: str) -> dict[str, Any]:
        """`alipay.open.app.alipaycert.download`, for clients that met an unknown certificate number."""
        if biz.get("alipay_cert_sn") != account.secrets.get("alipay_cert_sn"):
            raise Refused("40004", "isv.invalid-alipay-cert-sn", "支付宝公钥证书SN不存在")
        content = base64.b64encode(account.secrets["alipay_cert"].encode()).decode()
        return {"code": "10000", "msg": "Success", "alipay_cert_content": content}
