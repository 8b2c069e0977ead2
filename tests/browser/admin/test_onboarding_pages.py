"""The whole path of a company in a real browser: filled in, submitted, returned, mended, approved."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onboarding.connections import run_due_checks
from tests.browser import chromium
from tests.browser.admin.conftest import Desk
from tests.factories import fresh
from tests.fakes.staff import make_staff
from tests.onboarding.company import FACTS, NEEDED, PNG, SECRET, make_company

pytestmark = pytest.mark.browser
SitDown = Callable[..., Desk]
# Where somebody wants to look at the pages: every stage is then also taken as a picture, at both sizes.
PICTURES = os.environ.get("PAYCENTER_PICTURES", "")
DESK, PHONE = (1440, 900), (390, 844)


class Eyes:
    """Looks at a page: nothing wider than the screen, nothing that axe finds, a picture where one is wanted."""

    def __init__(self) -> None:
        self.axe = chromium.axe_source()

    def look(self, desk: Desk, name: str) -> None:
        page = desk.page
        for width, height in (PHONE, DESK):
            page.set_viewport_size({"width": width, "height": height})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 1, f"{name} is {wide}px wider than a screen of {width}"
            if PICTURES:
                page.screenshot(path=f"{PICTURES}/{name}-{width}.png", full_page=True)
        page.evaluate(self.axe)
        found = page.evaluate(
            "axe.run('.pc', {resultTypes: ['violations']}).then(r => r.violations"
            ".map(v => v.id + ' ' + v.nodes[0].html))"
        )
        assert found == [], name


def fill(page: Any, step: str, **changed: str) -> None:
    """Type the facts of a step into its boxes."""
    open_step(page, step)
    form = page.locator(f"#step-{step} form")
    for name, value in {**FACTS[step], **changed}.items():
        if isinstance(value, list):
            for code in value:
                form.locator(f"[name={name}][value={code}]").check()
        elif form.locator(f"select[name={name}]").count():
            form.locator(f"[name={name}]").select_option(value)
        else:
            form.locator(f"[name={name}]").fill(value)


def save(page: Any, step: str) -> None:
    """Press the step's button and wait until the answer stands in its place."""
    page.eval_on_selector(f"#step-{step} form", "form => { form.dataset.sent = 'yes'; }")
    page.locator(f"#step-{step} form button.primary").click()
    page.wait_for_selector("form[data-sent]", state="detached")


def open_step(page: Any, step: str) -> None:
    if page.locator(f"#step-{step}").get_attribute("open") is None:
        page.locator(f"#head-{step}").click()


def upload(page: Any, kind: str, folder: Path) -> None:
    """Choose a file; it is sent at once."""
    open_step(page, "documents")
    scan = folder / f"{kind}.png"
    scan.write_bytes(PNG)
    page.locator(f"#doc-{kind} input[type=file]").set_input_files(str(scan))
    page.wait_for_selector(f"#doc-{kind} .pc-chip.good")


def open_account(page: Any) -> None:
    """An account at the fake channel, wrong at first: what was typed stays, secrets and all."""
    open_step(page, "accounts")
    page.click("#step-accounts button[value=fakepay]")
    page.wait_for_selector("form[action*='/account/draft-'] [name=config-secret]")
    page.fill("[name=config-secret]", SECRET)
    page.click("form[action*='/account/draft-'] button.primary")
    page.wait_for_selector("form[action*='/account/draft-'] .errorlist")
    page.fill("[name=config-merchant]", "anju-1")
    page.click("form[action*='/account/draft-'] button.primary")
    page.wait_for_selector("[data-check][data-running]")


def test_a_company_walks_the_whole_path(
    committed_world: Any, sit_down: SitDown, settings: Any, tmp_path: Path
) -> None:
    settings.VAR_DIR, settings.PUBLIC_BASE_URL = tmp_path, "https://pay.example.com"
    company, eyes = make_company(), Eyes()
    owner = sit_down("owner", user=company.owner, locale="zh-CN")
    page = owner.page
    page.on("dialog", lambda dialog: dialog.accept())
    assert page.url.endswith(f"{company.base}change/")
    eyes.look(owner, "1-begun")

    # A mistake in one step, while something unsaved stands in another: both stay.
    fill(page, "bank", bank_branch="typed and not saved")
    fill(page, "company", credit_code="91350100M000100Y44")
    save(page, "company")
    page.wait_for_selector("#step-company [aria-invalid]")
    assert page.locator("#step-company [name=short_name]").input_value() == "安居物业"
    assert page.locator("#step-bank [name=bank_branch]").input_value() == "typed and not saved"
    eyes.look(owner, "2-mistake")
    fill(page, "company")
    save(page, "company")
    page.wait_for_selector("#step-people[open]")
    assert page.locator("#step-bank [name=bank_branch]").input_value() == "typed and not saved"
    for step in ("people", "bank", "business"):
        fill(page, step)
        save(page, step)
        page.wait_for_selector(f"#head-{step} .pc-chip.good")
    for kind in NEEDED:
        upload(page, kind, tmp_path)
    eyes.look(owner, "3-documents")

    open_step(page, "accounts")
    page.click("#step-accounts button[value=wechat]")
    page.wait_for_selector("form[action*='/account/draft-'] [name=config-mch_id]")
    eyes.look(owner, "4-guided")
    page.click("form[action*='/account/draft-'] button.danger")
    page.wait_for_selector("[name=config-mch_id]", state="detached")
    open_account(page)
    assert run_due_checks() == 1
    page.wait_for_selector("[data-check].good")
    eyes.look(owner, "5-connected")
    open_step(page, "review")
    eyes.look(owner, "6-review")
    page.check("[name=true]")
    page.click("#step-review button.primary")
    page.wait_for_selector("#ob-top [role=status]")
    assert fresh(company.merchant).state == "review"
    eyes.look(owner, "7-submitted")

    reviewer = sit_down("operator", user=make_staff("operator", username="reviewer"), locale="zh-CN")
    desk = reviewer.go(f"onboarding/application/{company.application.pk}/review/")
    desk.locator(".ob-look summary").first.click()
    desk.wait_for_function("document.querySelector('.ob-look[open] img').complete")
    desk.fill("[name=comment-bank]", "开户支行与许可证不一致，请核对。")
    eyes.look(reviewer, "8-reviewing")
    desk.click("button[value=return]")
    desk.wait_for_selector(".pc-chip.warn")
    assert fresh(company.merchant).state == "draft"

    page = owner.go("")
    page.wait_for_selector("#step-bank[open] .ob-comment")
    eyes.look(owner, "9-returned")
    fill(page, "bank", bank_branch="深圳后海支行", bank_account_no="")
    save(page, "bank")
    open_step(page, "review")
    page.check("[name=true]")
    page.click("#step-review button.primary")
    page.wait_for_selector("#ob-top [role=status]")

    desk = reviewer.go(f"onboarding/application/{company.application.pk}/review/")
    assert desk.locator("tr.changed").count() == 1
    eyes.look(reviewer, "10-side-by-side")
    desk.click("button[value=approve]")
    desk.wait_for_selector(".pc-chip.good")
    assert fresh(company.merchant).state == "active"
    eyes.look(reviewer, "11-approved")
    assert owner.complaints == []
    assert reviewer.complaints == []
