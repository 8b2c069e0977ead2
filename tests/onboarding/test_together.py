"""Two people at the same instant: one is served, the other one is told why not, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from merchants.checking import account_check
from merchants.models import Merchant, User
from onboarding.accounts import Typed, account_save, draft_begin, present_of
from onboarding.errors import StaleStep
from onboarding.facts import seen, step_values
from onboarding.models import Application, ApplicationVersion
from onboarding.services import document_store, step_save
from onboarding.steps import FACT_STEPS
from onboarding.versions import application_approve, application_return, application_submit, snapshot_of, submit_mark
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from tests.fakes.staff import make_staff
from tests.onboarding.company import FACTS, NEEDED, PNG, SECRET, Company, make_company

Together = Callable[..., list[Any]]



@pytest.fixture
def company(transactional_db: None, book: object) -> Company:
    """Complete, without any page having been drawn."""
    company = make_company()
    for code, values in FACTS.items():
        save(company, company.owner, code, **values)
    for kind in NEEDED:
        document_store(application=company.application, kind=kind, name="a.png", chunks=[PNG], mark="",
                       user=company.owner)  # fmt: skip
    draft = draft_begin(application=company.application, channel="fakepay", user=company.owner)
    typed = Typed("Fake", ("fake_qr",), {"merchant": "anju-1", "secret": SECRET})
    account: Any = account_save(
        application=company.application, target=draft, typed=typed, mark=seen(present_of(draft)), user=company.owner
    )
    account_check(account=account, actor="system")
    return company


def mark(company: Company, code: str) -> str:
    application = Application.objects.get(pk=company.application.pk)
    return seen(step_values(application, application.merchant, FACT_STEPS[code]))


def save(company: Company, user: User, code: str, seen_mark: str = "", **values: Any) -> Application:
    return step_save(
        application=company.application, step=FACT_STEPS[code], values=values, user=user,
        mark=seen_mark or mark(company, code),
    )  # fmt: skip


def kinds(results: list[Any]) -> list[str]:
    return sorted(type(r).__name__ for r in results)


def test_of_two_who_save_the_same_step_one_is_told(company: Company, in_threads: Together) -> None:
    other, before = make_staff("merchant", merchant=company.merchant, username="other"), mark(company, "business")
    people = (company.owner, other)
    results = in_threads(
        lambda at: save(company, people[at], "business", before, lines=["rent"], wishes=f"from {at}"), 2
    )
    assert kinds(results) == ["Application", "StaleStep"]
    lost = next(r for r in results if isinstance(r, StaleStep))
    stored = Application.objects.get(pk=company.application.pk)
    winner = 0 if isinstance(results[0], Application) else 1
    assert stored.facts["business"]["wishes"] == f"from {winner}"
    assert lost.save["by"] == f"staff:{people[winner].username}"


def test_a_double_click_submits_one_version(company: Company, in_threads: Together) -> None:
    application = Application.objects.get(pk=company.application.pk)
    looked = submit_mark(application, application.merchant)
    results = in_threads(
        lambda _at: application_submit(application=company.application, mark=looked, user=company.owner), 3
    )
    assert kinds(results) == ["ApplicationVersion", "TransitionRefused", "TransitionRefused"]
    assert ApplicationVersion.objects.count() == 1
    assert Event.objects.filter(type="merchant.submit").count() == 1


def submitted(company: Company) -> ApplicationVersion:
    application = Application.objects.get(pk=company.application.pk)
    looked = submit_mark(application, application.merchant)
    return application_submit(application=application, mark=looked, user=company.owner)


def test_what_is_submitted_is_what_is_stored_whoever_edits_meanwhile(company: Company, in_threads: Together) -> None:
    application = Application.objects.get(pk=company.application.pk)
    looked, before = submit_mark(application, application.merchant), mark(company, "business")

    def act(at: int) -> Any:
        if at == 0:
            return application_submit(application=application, mark=looked, user=company.owner)
        return save(company, company.owner, "business", before, lines=["rent"], wishes="late")

    results = in_threads(act, 2)
    assert kinds(results) in (["ApplicationVersion", "TransitionRefused"], ["Application", "TransitionRefused"])
    stored = Application.objects.get(pk=company.application.pk)
    for version in ApplicationVersion.objects.all():
        assert version.snapshot == snapshot_of(stored, stored.merchant)


def test_of_two_reviewers_one_decides(company: Company, in_threads: Together) -> None:
    submitted(company)
    ann, bob = (make_staff("operator", username=name) for name in ("ann", "bob"))

    def decide(at: int) -> Any:
        if at == 0:
            return application_approve(application=company.application, number=1, user=ann)
        return application_return(
            application=company.application, number=1, user=bob, comments={"bank": "another branch"}
        )

    results = in_threads(decide, 2)
    assert kinds(results) == ["ApplicationVersion", "TransitionRefused"]
    version, merchant = ApplicationVersion.objects.get(), Merchant.objects.get(pk=company.merchant.pk)
    assert (version.outcome, merchant.state) in (("approved", "active"), ("returned", "draft"))
    assert {a.state for a in merchant.accounts.all()} == {merchant.state}


def test_an_edit_beside_the_approval_changes_nothing(company: Company, in_threads: Together) -> None:
    submitted(company)
    ann, before = make_staff("operator", username="ann"), mark(company, "business")

    def act(at: int) -> Any:
        if at == 0:
            return application_approve(application=company.application, number=1, user=ann)
        return save(company, company.owner, "business", before, lines=["rent"], wishes="late")

    results = in_threads(act, 2)
    assert isinstance(results[0], ApplicationVersion)
    assert isinstance(results[1], TransitionRefused)
    assert Application.objects.get().facts["business"]["wishes"] == FACTS["business"]["wishes"]
