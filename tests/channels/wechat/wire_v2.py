"""API v2 as WeChat Pay speaks it, from the vendor's pages alone. Nothing here imports the code under test."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from xml.etree import ElementTree

from channels.base import InboundRequest
from tests.channels.wechat.standin import APP_ID, MCH_ID

API_V2_KEY = "192006250b4c09247ec02edce69f6a2d"
PLAN_ID = "12535"
CONTRACT_NO, CONTRACT_ID = "C20261121000000000000AAAAAAA", "Wx15463511252015071056489715"
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
SUCCESS = {"return_code": "SUCCESS", "return_msg": "OK", "result_code": "SUCCESS", "mch_id": MCH_ID}


def sign(fields: dict[str, str], key: str = API_V2_KEY, kind: str = "MD5") -> str:
    names = [name for name in sorted(fields) if fields[name] and name != "sign"]
    text = "&".join([f"{name}={fields[name]}" for name in names] + [f"key={key}"]).encode()
    digest = hashlib.md5(text) if kind == "MD5" else hmac.new(key.encode(), text, hashlib.sha256)
    return digest.hexdigest().upper()


def xml(fields: dict[str, str]) -> bytes:
    """With blanks around the CDATA, as in the vendor's own examples."""
    return ("<xml>\n" + "".join(f"<{k}> <![CDATA[{v}]]> </{k}>\n" for k, v in fields.items()) + "</xml>").encode()


def message(fields: dict[str, Any], key: str = API_V2_KEY) -> bytes:
    """Signed; a value of None leaves a field out."""
    kept = {k: v for k, v in fields.items() if v is not None}
    return xml({"sign": sign(kept, key, kept.get("sign_type", "MD5")), **kept})


def answer(**changes: Any) -> bytes:
    return message({**SUCCESS, "appid": APP_ID, "nonce_str": "5K8264ILTKCH16CQ2502SI8ZNMTM67VS", **changes})


def refusal(code: str, words: str = "no", **changes: Any) -> bytes:
    return answer(result_code="FAIL", err_code=code, err_code_des=words, **changes)


def fields_of(body: bytes) -> dict[str, str]:
    return {child.tag: child.text or "" for child in ElementTree.fromstring(body)}


def posted(body: bytes) -> InboundRequest:
    return InboundRequest(method="POST", path="/notify", body=body, headers={"content-type": "text/xml"})
