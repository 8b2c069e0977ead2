"""A company that fills in its application through the pages, as a browser would."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from merchants.models import Merchant, Role, User
from merchants.services import merchant_create
from onboarding.connections import run_due_checks
from onboarding.models import Application
from onboarding.services import application_open
from tests.fakes.staff import make_staff, signed_in

# The example of GB 32100-2015 and that of GB 11643-1999; the account number is nobody's.
CREDIT_CODE, RESIDENT_ID, BANK_ACCOUNT = "91350100M000100Y43", "11010519491231002X", "7559123456781234"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64
FACTS: dict[str, dict[str, Any]] = {
    "company": {"name": "安居物业服务有限公司", "short_name": "安居物业", "credit_code": CREDIT_CODE,
                "registered_address": "深圳市南山区科苑路 15 号", "licence_until": ""},
    "people": {"legal_name": "王建国", "legal_id_kind": "resident_id", "legal_id_no": RESIDENT_ID,
               "contact_name": "王建国", "contact_phone": "13800004321", "contact_email": "wang@anju.example"},
    "bank": {"bank_holder": "安居物业服务有限公司", "bank_name": "招商银行", "bank_branch": "深圳科苑支行",
             "bank_account_no": BANK_ACCOUNT, "bank_code": "308584001024"},
    "business": {"lines": ["property_fee", "parking"], "wishes": "小程序"},
}  # fmt: skip
NEEDED = ("licence", "legal_id_front", "legal_id_back", "bank_permit")
SECRET = "the-secret-of-the-channel"
ACCOUNT = {"config-merchant": "anju-1", "config-secret": SECRET, "name": "Fake of Anju", "methods": ["fake_qr"]}


@dataclass
class Company:
    """The owner's browser at the application page."""

    merchant: Merchant
    application: Application
    owner: User
    client: Client

    @property
    def base(self) -> str:
        return f"/admin/onboarding/application/{self.application.pk}/"

    def page(self) -> str:
        return str(self.client.get(f"{self.base}change/").content.decode())

    def mark(self, form: str, page: str = "") -> str:
        """The hidden mark of the form with this address below the application's."""
        found = re.search(
            rf'action="{re.escape(self.base + form)}"[^>]*>.*?name="mark" value="([^"]*)"', page or self.page(), re.S
        )
        assert found, f"there is no form {form} on the page"
        return found[1]

    def save(self, step: str, mark: str | None = None, **changed: Any) -> Any:
        values = {**FACTS[step], **changed}
        values["mark"] = self.mark(f"step/{step}/") if mark is None else mark
        return self.client.post(f"{self.base}step/{step}/", values)

    def upload(self, kind: str, content: bytes = PNG, name: str = "scan.png", mark: str | None = None) -> Any:
        mark = self.mark(f"document/{kind}/") if mark is None else mark
        file = SimpleUploadedFile(name, content, content_type="text/html")
        return self.client.post(f"{self.base}document/{kind}/", {"file": file, "mark": mark})

    def begin(self, channel: str = "fakepay") -> str:
        """The new draft's place."""
        assert self.client.post(f"{self.base}begin/", {"channel": channel}).status_code == 302
        return f"draft-{self.application.drafts.latest('pk').pk}"

    def account(self, place: str, mark: str | None = None, **changed: Any) -> Any:
        values = {**ACCOUNT, **changed}
        values["mark"] = self.account_mark(place) if mark is None else mark
        return self.client.post(f"{self.base}account/{place}/", values)

    def account_mark(self, place: str) -> str:
        found = re.findall(
            rf'action="{re.escape(self.base)}account/{place}/" enctype.*?name="mark" value="([^"]*)"', self.page(), re.S
        )
        assert found, f"there is no form of {place}"
        return str(found[0])

    def fill_in(self) -> None:
        """Everything, so that it could be submitted."""
        for step in FACTS:
            assert self.save(step).status_code == 302, step
        for kind in NEEDED:
            assert self.upload(kind).status_code == 302, kind
        assert self.account(self.begin()).status_code == 302
        assert run_due_checks() == 1

    def submit(self, mark: str | None = None) -> Any:
        mark = self.mark("submit/") if mark is None else mark
        return self.client.post(f"{self.base}submit/", {"true": "on", "mark": mark})


def make_company(name: str = "Draft Property", username: str = "owner") -> Company:
    """A company in draft with an owner who has just signed in."""
    merchant = merchant_create(name=name, actor="system")
    owner = make_staff(Role.OWNER, merchant=merchant, username=username, email=f"{username}@anju.example")
    return Company(merchant, application_open(merchant=merchant, user=owner), owner, signed_in(owner))
