"""Orders: create in four scenes, query, close.

https://pay.weixin.qq.com/doc/v3/merchant/4012791856 (JSAPI), .../4012791877 (Native), .../4012791834 (H5),
.../4013070347 (APP), .../4012791858 (query), .../4012791860 (close)
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sandbox.book import NewPayment, NotPossible, random_digits
from sandbox.clock import beijing, parse_rfc3339, rfc3339
from sandbox.context import Context, base_url
from sandbox.records import Account, Payment, PaymentState
from sandbox.wechat.transport import Asked, Problem, Reply, parameter_error

Data = Mapping[str, Any]
PRODUCTS = ("jsapi", "native", "app", "h5")
TRADE_TYPES = {"jsapi": "JSAPI", "native": "NATIVE", "app": "APP", "h5": "MWEB", "deduct": "PAP"}
PREPAY_SECONDS = 2 * 3600
H5_SECONDS = 5 * 60
_DEFAULT_EXPIRY_SECONDS = 7 * 86400
_SHORTEST_EXPIRY_SECONDS = 60
# A request made exactly a minute before the expiry must not fail because of its own way here.
_TRANSIT_SECONDS = 5
_ORDER_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
STATE_WORDS = {"SUCCESS": "支付成功", "REFUND": "转入退款", "NOTPAY": "订单未支付", "CLOSED": "订单已关闭"}


class Orders:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book = context.book

    def create(self, scene: str, asked: Asked) -> Reply:
        payment = self._take(scene, asked.account, asked.data)
        if scene == "native":
            return Reply(200, {"code_url": f"weixin://wxpay/bizpayurl?pr={payment.code}"})
        if scene == "h5":
            token = self.context.token()
            address = f"/cgi-bin/mmpayweb-bin/checkmweb?prepay_id={payment.code}&package={token[:10]}"
            return Reply(200, {"h5_url": base_url(asked.request) + address})
        return Reply(200, {"prepay_id": payment.code})

    def _take(self, scene: str, account: Account, data: Data) -> Payment:
        _check_parties(account, data)
        order_no = _text(data, "out_trade_no", 32)
        if not _ORDER_NO.fullmatch(order_no):
            raise parameter_error("out_trade_no", "应为6-32个字符，只能是数字、大小写字母_-|*")
        amount = _amount(data)
        expires_at = self._expiry(data)
        _check_scene(scene, data)
        payer = str(data.get("payer", {}).get("openid", "")) if isinstance(data.get("payer"), dict) else ""
        request = json.dumps({"scene": scene, **data}, sort_keys=True, ensure_ascii=False)
        now = self.context.clock()
        life = H5_SECONDS if scene == "h5" else PREPAY_SECONDS
        code, code_expires_at = new_code(scene, now), min(expires_at, now + life)
        known = self.book.find("wechat", account.key, order_no)
        if known is not None:
            return self._repeated(known, request, code=code, code_expires_at=code_expires_at)
        attach, description = _text(data, "attach", 128, needed=False), _text(data, "description", 127)
        return self.book.add(NewPayment(
            channel="wechat", account=account.key, order_no=order_no, trade_no=new_trade_no(self.context.clock()),
            scene=scene, amount=amount, currency="CNY", subject=description, notify_url=notify_url(data),
            expires_at=expires_at, state=PaymentState.UNPAID, payer=payer, request=request,
            extra={"attach": attach}, code=code, code_expires_at=code_expires_at,
        ))  # fmt: skip

    def _repeated(self, known: Payment, request: str, **fresh: Any) -> Payment:
        """The same order again gets a new prepay id; one with other contents is refused."""
        if known.state is PaymentState.CLOSED:
            raise Problem(400, "ORDER_CLOSED", "订单已关闭")
        if known.state is PaymentState.PAID:
            raise Problem(400, "INVALID_REQUEST", "该订单已支付")
        if known.request != request:
            raise Problem(403, "OUT_TRADE_NO_USED", "商户订单号重复")
        return self.book.change(known, **fresh)

    def _expiry(self, data: Data) -> float:
        if data.get("time_expire") is None:
            return self.context.clock() + _DEFAULT_EXPIRY_SECONDS
        try:
            when = parse_rfc3339(_text(data, "time_expire", 64))
        except ValueError:
            raise parameter_error("time_expire", "应遵循rfc3339标准格式") from None
        if when - self.context.clock() < _SHORTEST_EXPIRY_SECONDS - _TRANSIT_SECONDS:
            raise parameter_error("time_expire", "订单失效时间不能小于1分钟")
        return when

    # -- query and close

    def query(self, asked: Asked) -> Reply:
        return Reply(200, transaction(self.context, asked.account, self._named(asked)))

    def _named(self, asked: Asked) -> Payment:
        _check_mchid(asked.account, asked.request.query.get("mchid"), "query")
        info = asked.request.match_info
        if "transaction_id" in info:
            found = self.book.find_trade("wechat", asked.account.key, info["transaction_id"])
            found = found if found is not None and found.state is PaymentState.PAID else None
        else:
            found = self.book.find("wechat", asked.account.key, info["out_trade_no"])
        if found is None:
            raise Problem(404, "ORDER_NOT_EXIST", "订单不存在")
        return found

    def close(self, asked: Asked) -> Reply:
        _check_mchid(asked.account, asked.data.get("mchid"), "body")
        found = self.book.find("wechat", asked.account.key, asked.request.match_info["out_trade_no"])
        if found is None:
            raise Problem(404, "ORDER_NOT_EXIST", "订单不存在")
        if found.state is not PaymentState.CLOSED:
            try:
                self.book.close(found)
            except NotPossible:
                # No vendor page says what a paid order answers; of the two listed business codes this one.
                raise Problem(403, "TRADE_ERROR", "该订单已支付，不能关闭") from None
        return Reply(204, None)


def new_code(scene: str, now: float) -> str:
    """`pr` of a Native code, or a prepay id."""
    if scene == "native":
        return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(9)) + "zz"
    return f"wx{beijing(now).strftime('%d%H%M%S')}{secrets.token_hex(13)}"


def new_trade_no(now: float) -> str:
    """28 digits with the day in the middle, as `4200000925202101284997714292`."""
    return f"4200{random_digits(6)}{beijing(now).strftime('%Y%m%d')}{random_digits(10)}"


def transaction(context: Context, account: Account, payment: Payment) -> dict[str, Any]:
    """What a query answers; a notification's plain text has the same form."""
    state = trade_state(context, payment)
    answer: dict[str, Any] = {
        "amount": {"currency": payment.currency, "payer_currency": payment.currency, "total": payment.total},
        "appid": account.config["app_id"], "attach": str(payment.extra.get("attach", "")),
        "mchid": account.key, "out_trade_no": payment.order_no, "promotion_detail": [],
        "trade_state": state, "trade_state_desc": STATE_WORDS[state],
    }  # fmt: skip
    if payment.state is PaymentState.PAID and payment.paid_at is not None:
        answer["amount"]["payer_total"] = payment.total
        answer |= {
            "bank_type": "OTHERS", "payer": {"openid": payment.payer}, "success_time": rfc3339(payment.paid_at),
            "trade_type": TRADE_TYPES[payment.scene], "transaction_id": payment.trade_no,
        }  # fmt: skip
    return answer


def trade_state(context: Context, payment: Payment) -> str:
    """REFUND from the first refund on, partial or not."""
    if payment.state is PaymentState.PAID:
        return "REFUND" if context.book.refunded(payment) else "SUCCESS"
    return "CLOSED" if payment.state is PaymentState.CLOSED else "NOTPAY"


# -- what a create call must say


def _check_parties(account: Account, data: Data) -> None:
    _check_mchid(account, data.get("mchid"), "body")
    if _text(data, "appid", 32) != account.config["app_id"]:
        raise Problem(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配，请检查后再试")


def _check_mchid(account: Account, mchid: Any, location: str) -> None:
    if not isinstance(mchid, str) or not mchid:
        raise parameter_error("mchid", "缺少参数", location)
    if mchid != account.key:
        raise Problem(400, "INVALID_REQUEST", "商户号和订单信息不匹配")


def _text(data: Data, name: str, longest: int, *, needed: bool = True) -> str:
    value = data.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or (needed and not value) or len(value) > longest:
        raise parameter_error(name, f"应为不超过{longest}个字符的字符串")
    return value


def _amount(data: Data) -> int:
    amount = data.get("amount")
    total = amount.get("total") if isinstance(amount, dict) else None
    if isinstance(total, bool) or not isinstance(total, int) or not 1 <= total <= 100_000_000_000:
        raise parameter_error("amount/total", "应为大于0的整数，单位为分")
    if isinstance(amount, dict) and amount.get("currency", "CNY") != "CNY":
        raise parameter_error("amount/currency", "仅支持CNY")
    return total


def notify_url(data: Data) -> str:
    url = _text(data, "notify_url", 255)
    parts = urlsplit(url)
    # The vendor demands https; a development machine has none.
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "?" in url:
        raise parameter_error("notify_url", "应为http(s)地址，且不能携带参数")
    return url


def _check_scene(scene: str, data: Data) -> None:
    if scene == "jsapi":
        payer = data.get("payer")
        openid = payer.get("openid") if isinstance(payer, dict) else None
        if not isinstance(openid, str) or not 0 < len(openid) <= 128:
            raise parameter_error("payer/openid", "缺少参数")
    if scene == "h5":
        info = data.get("scene_info")
        h5 = info.get("h5_info") if isinstance(info, dict) else None
        if not isinstance(info, dict) or not info.get("payer_client_ip") or not isinstance(h5, dict):
            raise parameter_error("scene_info", "H5支付必须传入payer_client_ip和h5_info")
        if h5.get("type") not in ("Wap", "iOS", "Android"):
            raise parameter_error("scene_info/h5_info/type", "应为Wap、iOS或Android")
