"""Parsers of foreign bytes that belong to no channel: calls, what apps and robots answer, uploads, what people type."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.core.exceptions import ValidationError
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from cashier.amounts import entered_amount
from cashier.layout import layout_of, layout_problems
from cashier.views.showing import return_link
from merchants.api.body import parse_object
from merchants.api.endpoint import Endpoint
from merchants.api.errors import BadParameter
from merchants.api.fields import Address
from notifications.receivers import RECEIVERS
from notifications.receivers.base import Message, RobotBusy, RobotRefused
from notifications.receivers.base import Target as Robot
from notifications.signing import acknowledges
from paycenter.amounts import amount_text
from paycenter.egress import EgressPolicy
from paycenter.errors import BillRefused, EgressRefused, MoneyError, NotSent, UnknownOutcome
from paycenter.http import HttpResponse
from paycenter.masking import mask_mapping, mask_text, mask_url
from paycenter.staff.amount_field import AmountField
from paycenter.upload_handling import ShortNamesUploadHandler
from paycenter.uploads import UploadFolder, UploadRefused
from paycenter.urls import parts
from reconciliation.api.cursor import decode_position
from reconciliation.settlement.models import BankProfile
from reconciliation.settlement.receipts import statement_lines
from tests.fuzz.oracle import Broken, require_storable
from tests.fuzz.samples import Replay
from tests.fuzz.target import Target
from tests.fuzz.wire import pack_answer, unpack_answer
from trades.api.cursor import decode_cursor, encode_cursor
from trades.finding import amount_and_time
from trades.views import _with_numbers

PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000") + b"\x1f\x15\xc4\x89"
STATEMENT = (
    "日期,金额,流水号,摘要\r\n2026-11-20,100.00,B0001,支付宝结算 物业\r\n2026-11-21,\"1,234.56\",B0002,财付通\r\n"
    "2026-11-22,-5.00,B0003,退回\r\n"
).encode()  # fmt: skip
_MULTIPART = (
    b"--BOUND\r\nContent-Disposition: form-data; name=\"reason\"\r\n\r\nworks\r\n--BOUND\r\n"
    b"Content-Disposition: form-data; name=\"file\"; filename=\"v.png\"\r\nContent-Type: image/png\r\n\r\n" + PNG +
    b"\r\n--BOUND--\r\n"
)  # fmt: skip


def product_targets() -> Iterator[Target]:
    yield from (_body(view) for view in endpoints())
    yield from (
        _simple("webhook-answer", [b"success", b'{"errno": 0}', b"[[[[0]]]]"], _acknowledged),
        _robots(),
        _simple("masking", [json.dumps({"openid": "o1", "phone": "13800138000"}).encode(), b"a=1&sign=AAAA&b=%7B%7D",
                            b"<xml><sign><![CDATA[AB]]></sign></xml>", b"Authorization: Bearer abc\nX: {\"k\": 'v'}",
                            b"https://u:p@h/p?token=1&b=2"], _masked),
        _simple("upload", [b"\1" + PNG, b"\1%PDF-1.4\n", b"\1\xff\xd8\xff\xe0\x00\x10JFIF"], _uploaded),
        _simple("multipart", [_MULTIPART], _multipart),
        _simple("statement", [STATEMENT, b"\1" + STATEMENT.decode().encode("gbk")], _statement),
        _simple("typed-amount", [b"12.50", "１２。５".encode(), b"1,234", b"0.001", b"100000000000"], _typed),
        _simple("layout", [json.dumps({"title": {"zh": "物业", "en": "Fee"}, "accent": "#1f6feb", "rows": ["房号"],
                                       "mini_page": "/pages/pay"}).encode()], _layout),
        _simple("cursor", [encode_cursor("APP1", 5).encode(), b"", b"MS9h"], _cursor),
        _simple("address", [b"https://app.example.com:443/told?x=1", b"http://127.0.0.1/", b"http://[::1]:80/",
                            "http://例子.测试/".encode()], _address),
        _simple("search", [b"128.50", b"USD 1,128.50 2026-11-20 15:30", "¥ 12.00 2026-11-20".encode()], _search),
    )  # fmt: skip


def _simple(name: str, seeds: list[bytes], run: Callable[[bytes], str]) -> Target:
    return Target(name, tuple(seeds), run)


# ---- the API -------------------------------------------------------------------------------------
def endpoints() -> list[type[Endpoint]]:
    found = (getattr(pattern.callback, "view_class", None) for pattern in parts.api)
    return [view for view in found if view is not None]


def _body(view: type[Endpoint]) -> Target:
    name = "body" + "-".join(["", *view.__name__.lower().split()])

    def run(data: bytes) -> str:
        try:
            given = parse_object(data[: 256 * 1024])
            taken = view.takes.read(given)
        except BadParameter as exc:
            errors = exc.data.get("errors")
            if not errors or not all(isinstance(n, str) and n and reasons for n, reasons in errors.items()):
                raise Broken(f"refused without naming a field: {exc.data}") from exc
            require_storable(errors)
            return "BadParameter " + " ".join(sorted(r for reasons in errors.values() for r in reasons))[:80]
        require_storable(taken)
        return "taken"

    return Target(name, (json.dumps(view.example, ensure_ascii=False).encode(),), run)


# ---- what others answer --------------------------------------------------------------------------
def _acknowledged(data: bytes) -> str:
    require_storable(mask_text(data, limit=500))
    return f"understood {acknowledges(200, data)}"


def _robots() -> Target:
    known = sorted(name for name in RECEIVERS if name != "email")
    said = [b'{"errcode": 0, "errmsg": "ok"}', b'{"code": 0, "msg": "ok"}', b'{"errcode": 45009, "errmsg": "busy"}']
    seeds = [pack_answer(at, HttpResponse(200, {}, body)) for at in range(len(known)) for body in said]
    replay = Replay()

    def run(data: bytes) -> str:
        chosen, answer = unpack_answer(data)
        replay.load([answer])
        robot = Robot(url="https://robot.example/hook", secret="s")
        try:
            told = RECEIVERS[known[chosen % len(known)]].send(replay, robot, Message("t", "x"), 1.0)  # type: ignore[arg-type]
        except (RobotRefused, RobotBusy, NotSent, UnknownOutcome) as exc:
            require_storable(str(exc))
            return f"{type(exc).__name__}"
        require_storable(told)
        return f"understood {told}"

    return Target("robot-answer", tuple(seeds), run)


def _masked(data: bytes) -> str:
    text = mask_text(data)
    require_storable(text)
    require_storable(mask_url(data.decode("latin-1")))
    require_storable(mask_mapping({"x-header": data.decode("latin-1").replace("\0", "")}))
    return "taken"


# ---- files and forms -----------------------------------------------------------------------------
def _uploaded(data: bytes) -> str:
    """The first byte says how often the rest is sent."""
    folder = UploadFolder("fuzz")
    name = data[-40:].decode("utf-8", "replace")
    try:
        kept = folder.store(name=name, chunks=[data[1:]] * (1 + 8 * data[0] if data else 1))
    except UploadRefused:
        return "UploadRefused"
    try:
        if "/" in kept.name or "\\" in kept.name or len(kept.name) > 128:
            raise Broken(f"the name leads elsewhere: {kept.name!r}")
        require_storable(kept.name.replace("\0", ""))
        folder.read(kept.path)
    finally:
        folder.drop(kept.path)
    return "taken"


def _multipart(data: bytes) -> str:
    import io

    meta = {"CONTENT_TYPE": "multipart/form-data; boundary=BOUND", "CONTENT_LENGTH": str(len(data))}
    try:
        post, files = MultiPartParser(meta, io.BytesIO(data), [ShortNamesUploadHandler()]).parse()
    except MultiPartParserError:
        return "MultiPartParserError"
    except Exception as exc:
        if type(exc).__module__ == "django.core.exceptions":  # too many fields, too many bytes: answered with 400
            return type(exc).__name__
        raise
    for file in files.values():
        file.close()
    return f"taken {len(post)}"


def _statement(data: bytes) -> str:
    gbk = data[:1] == b"\1"
    profile = BankProfile(
        encoding="gb18030" if gbk else "utf-8-sig", delimiter=",", date_column="日期", date_format="%Y-%m-%d",
        amount_column="金额", reference_column="流水号", purpose_column="摘要", currency="CNY",
    )  # fmt: skip
    with tempfile.NamedTemporaryFile() as file:
        file.write(data.removeprefix(b"\1"))
        file.flush()
        try:
            for line in statement_lines(profile, Path(file.name)):
                require_storable(line)
                if abs(line.amount) >= 2**63 or line.received_on.year < 1:
                    raise Broken("no column holds it")
        except BillRefused as exc:
            return f"BillRefused {exc.reason}"
    return "read"


# ---- what people type ------------------------------------------------------------------------------
def _typed(data: bytes) -> str:
    text, outcome = data.decode("utf-8", "replace"), ""
    for currency in ("CNY", "JPY", "KWD"):
        try:
            money = entered_amount(text, currency)
            amount_text(money)
            outcome += f"understood {currency} "
        except MoneyError:
            outcome += "MoneyError "
        try:
            AmountField(currency=currency, required=False).clean(text)
        except ValidationError:
            outcome += "ValidationError "
    return outcome


def _layout(data: bytes) -> str:
    try:
        raw: Any = json.loads(data)
    except (ValueError, RecursionError):
        return "no JSON"
    problems = layout_problems(raw)
    drawn = layout_of(raw, "zh-hans")
    require_storable((drawn.title, drawn.accent, drawn.rows, drawn.mini_page) if not problems else ())
    return f"refused {sorted(problems)}" if problems else "taken"


def _cursor(data: bytes) -> str:
    text, outcome = data.decode("utf-8", "replace"), ""
    for decode, refusal in ((decode_cursor, ValueError), (decode_position, BadParameter)):
        try:
            require_storable(decode("APP1", text))
            outcome += "understood "
        except refusal:
            outcome += f"{refusal.__name__} "
    return outcome


def _address(data: bytes) -> str:
    text, errors = data.decode("utf-8", "replace"), dict[str, list[str]]()
    Address().clean(text, "notify_url", errors)
    if not errors:  # then payers are sent there, with two numbers more
        trade = SimpleNamespace(return_url=text, trade_no="T1", app_order_no="A1")
        require_storable(return_link(trade) + _with_numbers(SimpleNamespace(return_to=text, trade=trade)))  # type: ignore[arg-type]
    try:
        EgressPolicy().check_url(text)
    except EgressRefused:
        return f"EgressRefused {bool(errors)}"
    return f"understood {bool(errors)}"


def _search(data: bytes) -> str:
    found = amount_and_time(data.decode("utf-8", "replace"))
    return "nothing" if found is None else f"understood {len(found)}"


