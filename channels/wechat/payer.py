"""Who the payer is, inside WeChat's browser: web authorisation with scope `snsapi_base`.

https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from channels.base.reading import read_json
from channels.wechat.fields import time_limits
from paycenter.errors import BadSignature, ConfigError, NotSent, UnknownOutcome
from paycenter.http import HttpClient

# errcode: code invalid, expired, missing, used before. No set: what is asked of it may be anything that JSON can say.
_BAD_CODE = (40029, 42003, 41008, 40163)


class Authorisation:
    """One account's app id and secret. Nothing here is signed; TLS and the secret carry the trust."""

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient) -> None:
        self._config = config
        self._http = http
        self._limits = time_limits(config)

    def url(self, *, redirect_uri: str, state: str) -> str:
        """Where the browser goes. Raises ConfigError when the account has no app secret."""
        if not self._config.get("app_secret"):
            raise ConfigError("app_secret is not set, so WeChat cannot tell who the payer is")
        query = urlencode({  # WeChat wants exactly this order
            "appid": self._config["app_id"],
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
        })  # fmt: skip
        return f"{self._config['oauth_authorize_url']}?{query}#wechat_redirect"

    def payer(self, code: str) -> Mapping[str, str]:
        """`{"openid": …}` for a code. Raises NotSent, UnknownOutcome, BadSignature (code refused)."""
        if not self._config.get("app_secret"):
            raise NotSent("app_secret is not set")
        query = urlencode({
            "appid": self._config["app_id"],
            "secret": self._config["app_secret"],
            "code": code,
            "grant_type": "authorization_code",
        })  # fmt: skip
        response = self._http.request(
            "GET", f"{self._config['oauth_token_url']}?{query}",
            headers={"Accept": "application/json", "User-Agent": "paycenter"},
            limits=self._limits, operation="authorize",
        )  # fmt: skip
        try:
            data = read_json(response.body) if response.status == 200 else {}
        except ValueError as exc:
            raise UnknownOutcome("an answer that is not JSON") from exc
        if data.get("errcode") in _BAD_CODE:
            raise BadSignature(f"WeChat refuses the authorisation code ({data['errcode']})")
        openid = data.get("openid")
        if data.get("errcode") or not isinstance(openid, str) or not openid:
            raise UnknownOutcome(f"WeChat gave no openid (HTTP {response.status}, {data.get('errcode')})")
        return {"openid": openid}
