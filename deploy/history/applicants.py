"""Companies that have not begun yet: one is filling in its application, one waits for an operator. Through the
services, so that an operator's pages have something to look at and to decide on."""

from __future__ import annotations

import struct
import zlib
from random import Random
from typing import Any

from django.db import transaction
from django.utils import timezone

from deploy.history.keys import CONFIGS
from merchants import services
from merchants.models import Merchant, PaymentAccount, Role, User
from onboarding import facts
from onboarding.models import Application
from onboarding.services import application_open, document_store, step_save
from onboarding.steps import FACT_STEPS
from onboarding.versions import application_submit, submit_mark

UNFINISHED, WAITING = "和悦庭物业服务有限公司", "紫荆园物业管理有限公司"
# The example of GB 32100-2015 and that of GB 11643-1999; account and telephone numbers are nobody's.
_COMPANY = {"credit_code": "91350100M000100Y43", "registered_address": "深圳市南山区科苑路 15 号", "licence_until": ""}
_REST: dict[str, dict[str, Any]] = {
    "people": {"legal_name": "王建国", "legal_id_kind": "resident_id", "legal_id_no": "11010519491231002X",
               "contact_name": "李敏", "contact_phone": "10000004321", "contact_email": "limin@zijing.invalid"},
    "bank": {"bank_name": "招商银行", "bank_branch": "深圳科苑支行", "bank_account_no": "7559123456781234",
             "bank_code": "308584001024"},
    "business": {"lines": ["property_fee", "parking"], "wishes": "小程序、收费窗口"},
}  # fmt: skip
_DOCUMENTS = {"licence": "营业执照.png", "legal_id_front": "身份证正面.png", "legal_id_back": "身份证反面.png",
              "bank_permit": "开户许可证.png", "authorisation": "授权书.png"}  # fmt: skip


def applicants(random: Random) -> None:
    """Both companies, where they are missing."""
    if not Merchant.objects.filter(name=UNFINISHED).exists():
        _begun(UNFINISHED, "和悦庭")
    if not Merchant.objects.filter(name=WAITING).exists():
        _submitted(random)


@transaction.atomic
def _begun(name: str, short: str) -> tuple[Application, User]:
    """A company with its name, its address and its licence."""
    merchant = services.merchant_create(name=name, short_name=short, actor="system")
    owner = User(username=f"demo-owner-{merchant.pk}", role=Role.OWNER, merchant=merchant, is_staff=True)
    owner.set_unusable_password()
    owner.save()
    application = application_open(merchant=merchant, user=owner)
    _fill(application, "company", {**_COMPANY, "name": name, "short_name": short}, owner)
    _attach(application, "licence", owner)
    return application, owner


@transaction.atomic
def _submitted(random: Random) -> None:
    """All steps, all documents, an account whose connection was checked, submitted by its owner."""
    application, owner = _begun(WAITING, "紫荆园")
    for step, values in _REST.items():
        _fill(application, step, {"bank_holder": WAITING, **values} if step == "bank" else values, owner)
    for kind in list(_DOCUMENTS)[1:]:
        _attach(application, kind, owner)
    account = services.account_create(
        merchant=application.merchant, channel="wechat", name="微信支付（紫荆园）", config=CONFIGS["wechat"](random),
        actor="system", reviewed=True,
    )  # fmt: skip
    # Nobody can be asked whether it works.
    PaymentAccount.objects.filter(pk=account.pk).update(check_ok=True, checked_at=timezone.now())
    application = Application.objects.select_related("merchant").get(pk=application.pk)
    application_submit(application=application, mark=submit_mark(application, application.merchant), user=owner)


def _fill(application: Application, code: str, values: dict[str, Any], owner: User) -> None:
    application.refresh_from_db()
    step = FACT_STEPS[code]
    mark = facts.seen(facts.step_values(application, application.merchant, step))
    step_save(application=application, step=step, values=values, mark=mark, user=owner)


def _attach(application: Application, kind: str, owner: User) -> None:
    picture = _picture(kind)
    document_store(application=application, kind=kind, name=_DOCUMENTS[kind], chunks=[picture], mark="", user=owner)


def _picture(kind: str) -> bytes:
    """A PNG like a form that was photographed: a sheet with a heading and lines, in a shade of its own."""
    width, height, shade = 480, 320, 200 + zlib.crc32(kind.encode()) % 40
    sheet, ink, edge = bytes((shade, shade + 8, shade + 4)), bytes((96, 104, 120)), bytes((64, 72, 88))
    rows = []
    for y in range(height):
        written = (40 <= y < 60 and 150) or (y > 90 and y % 28 < 6 and 300 + y % 5 * 20) or 0
        line = sheet * 40 + ink * written + sheet * (width - 40 - written)
        rows.append(b"\0" + (edge * width if y < 4 or y >= height - 4 else edge * 4 + line[12:-12] + edge * 4))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, data) for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
