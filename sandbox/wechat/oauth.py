"""Who the payer is: web authorisation of the official-account platform.

https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from sandbox.context import Context
from sandbox.records import Account

CODE_SECONDS = 5 * 60


def openid_for(app_id: str) -> str:
    """The one payer's open id: another one for every app, the same every time."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(f"payer of {app_id}".encode()).digest()).decode()
    return "o" + digest[:27]


def _account(context: Context, app_id: str) -> Account | None:
    return next((a for a in context.store.accounts("wechat") if a.config["app_id"] == app_id), None)


def authorize(context: Context, request: web.Request) -> web.Response:
    """`snsapi_base` asks nobody: the browser comes straight back with a code."""
    query = request.query
    target = query.get("redirect_uri", "")
    problem = None
    if _account(context, query.get("appid", "")) is None:
        problem = "AppID 参数错误，错误码: 40013"
    elif urlsplit(target).scheme not in ("http", "https"):
        problem = "redirect_uri 参数错误，错误码: 10003"
    elif query.get("response_type") != "code" or query.get("scope") not in ("snsapi_base", "snsapi_userinfo"):
        problem = "Scope 参数错误或没有 Scope 权限，错误码: 10005"
    if problem is not None:
        return web.Response(status=400, text=problem)
    code = context.token()
    context.store.add_token(code, "wechat_auth", {"app_id": query["appid"]}, context.clock() + CODE_SECONDS)
    back = {"code": code, "state": query.get("state", "")}
    raise web.HTTPFound(f"{target}{'&' if '?' in target else '?'}{urlencode(back)}")


def access_token(context: Context, request: web.Request) -> web.Response:
    """Errors come with HTTP 200 and `errcode`, and everything as text/plain, as WeChat does it."""
    body = _exchanged(context, request)
    return web.Response(text=json.dumps(body), content_type="text/plain")


def _exchanged(context: Context, request: web.Request) -> dict[str, Any]:
    query = request.query
    account = _account(context, query.get("appid", ""))
    if account is None:
        return {"errcode": 40013, "errmsg": "invalid appid"}
    if query.get("secret") != account.config["app_secret"]:
        return {"errcode": 40125, "errmsg": "invalid appsecret"}
    if query.get("grant_type") != "authorization_code":
        return {"errcode": 40002, "errmsg": "invalid grant_type"}
    known = context.store.token(query.get("code", ""), "wechat_auth")
    if known is None or known[0]["app_id"] != query["appid"]:
        return {"errcode": 40029, "errmsg": "invalid code"}
    data, expires_at, used = known
    if used:
        return {"errcode": 40163, "errmsg": "code been used"}
    if expires_at < context.clock():
        return {"errcode": 42003, "errmsg": "code expired"}
    context.store.use_token(query["code"])
    return {
        "access_token": context.token(), "expires_in": 7200, "refresh_token": context.token(),
        "openid": openid_for(data["app_id"]), "scope": "snsapi_base",
    }  # fmt: skip
