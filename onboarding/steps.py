"""What a company has to hand over, as data: the facts of each step, the documents, the business lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from onboarding import checks

Values = Mapping[str, Any]
RESIDENT_ID = "resident_id"


@dataclass(frozen=True, slots=True)
class Fact:
    """One box. `column` facts are the merchant's own columns; `sensitive` ones are masked once they are stored,
    and an empty box keeps them. `check` gets the text and all values of the step, and answers the text to store."""

    name: str
    label: Any
    required: bool = True
    help: Any = ""
    check: Callable[[str, Values], str] | None = None
    max_length: int = 128
    sensitive: bool = False
    column: bool = False
    input_type: str = "text"
    choices: tuple[tuple[str, Any], ...] = ()
    many: bool = False
    autocomplete: str = "off"


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """One document. `wanted` tells from the stored facts of all steps whether it is required."""

    code: str
    label: Any
    help: Any
    wanted: Callable[[Mapping[str, Values]], bool]


@dataclass(frozen=True, slots=True)
class Step:
    code: str
    title: Any
    intro: Any
    icon: str
    facts: tuple[Fact, ...] = ()


def _plain(check: Callable[[str], str]) -> Callable[[str, Values], str]:
    return lambda text, _values: check(text)


def _identity(text: str, values: Values) -> str:
    return checks.resident_id(text) if values.get("legal_id_kind") == RESIDENT_ID else checks.other_id(text)


LINES: tuple[tuple[str, Any], ...] = (
    ("property_fee", _("Property fees")), ("parking", _("Parking")), ("utilities", _("Water, electricity, heating")),
    ("deposit", _("Deposits")), ("rent", _("Rent of shops and flats")), ("services", _("Repairs and home services")),
    ("retail", _("Community shop")), ("other", _("Something else")),
)  # fmt: skip

COMPANY = Step(
    "company", _("Company"), _("As it stands on the business licence."), "apartment",
    (
        Fact("name", _("Company name"), column=True, autocomplete="organization"),
        Fact("short_name", _("Short name"), column=True, max_length=32,
             help=_("Shown to payers on the cashier page.")),
        Fact("credit_code", _("Unified social credit code"), check=_plain(checks.credit_code), max_length=40,
             help=_("18 characters, on the business licence.")),
        Fact("registered_address", _("Registered address"), max_length=200),
        Fact("licence_until", _("Licence valid until"), required=False, check=_plain(checks.future_day),
             input_type="date", help=_("Empty for a licence without an end.")),
    ),
)  # fmt: skip
PEOPLE = Step(
    "people", _("People"), _("Who represents the company, and whom we call."), "badge",
    (
        Fact("legal_name", _("Legal representative"), max_length=64),
        Fact("legal_id_kind", _("Kind of identity document"), choices=(
            (RESIDENT_ID, _("Resident identity card")), ("passport", _("Passport")), ("permit", _("Residence permit")),
        )),
        Fact("legal_id_no", _("Identity number"), check=_identity, sensitive=True, max_length=40,
             help=_("Kept encrypted, and shown masked from then on.")),
        Fact("contact_name", _("Contact"), column=True, max_length=64, autocomplete="name"),
        Fact("contact_phone", _("Contact phone"), column=True, check=_plain(checks.phone), max_length=32,
             input_type="tel", autocomplete="tel"),
        Fact("contact_email", _("Contact e-mail"), column=True, check=_plain(checks.email), input_type="email",
             autocomplete="email"),
    ),
)  # fmt: skip
BANK = Step(
    "bank", _("Settlement account"), _("The company's own bank account, to which the channels pay out."),
    "account_balance",
    (
        Fact("bank_holder", _("Account holder"), help=_("The company's name, as the bank has it.")),
        Fact("bank_name", _("Bank")),
        Fact("bank_branch", _("Branch")),
        Fact("bank_account_no", _("Account number"), check=_plain(checks.bank_account), sensitive=True, max_length=48,
             help=_("Kept encrypted, and shown masked from then on.")),
        Fact("bank_code", _("Bank code (联行号)"), required=False, check=_plain(checks.bank_code), max_length=20,
             help=_("12 digits; the branch tells it to you.")),
    ),
)  # fmt: skip
DOCUMENTS = Step(
    "documents", _("Documents"), _("Photos or scans in colour, all corners visible. PDF, PNG or JPEG."), "description"
)
ACCOUNTS = Step(
    "accounts", _("Payment accounts"),
    _("Money goes straight to your own account at the channel. Follow the steps for each channel you use."),
    "account_balance_wallet",
)  # fmt: skip
BUSINESS = Step(
    "business", _("Business lines"), _("What you want to collect, and where residents will pay."), "storefront",
    (
        Fact("lines", _("What is collected"), choices=LINES, many=True),
        Fact("wishes", _("Where residents pay"), required=False, max_length=500, input_type="textarea",
             help=_("Your apps, mini programs or printed bills that should lead to the cashier.")),
    ),
)  # fmt: skip
REVIEW = Step("review", _("Review and submit"), _("Look everything over once more, then submit."), "task_alt")

STEPS: tuple[Step, ...] = (COMPANY, PEOPLE, BANK, DOCUMENTS, ACCOUNTS, BUSINESS, REVIEW)
FACT_STEPS: Mapping[str, Step] = {step.code: step for step in STEPS if step.facts}
# What a reviewer comments on, and what is compared between versions.
SECTIONS: tuple[Step, ...] = STEPS[:-1]


def _always(_facts: Mapping[str, Values]) -> bool:
    return True


def _has_card(facts: Mapping[str, Values]) -> bool:
    return str(facts["people"].get("legal_id_kind") or RESIDENT_ID) == RESIDENT_ID


def _is_represented(facts: Mapping[str, Values]) -> bool:
    """Whether somebody else than the legal representative acts for the company."""
    people = facts["people"]
    return bool(people.get("contact_name")) and people.get("contact_name") != people.get("legal_name")


DOCUMENT_KINDS: tuple[DocumentKind, ...] = (
    DocumentKind("licence", _("Business licence"), _("Original or a copy with the company's seal."), _always),
    DocumentKind("legal_id_front", _("Identity document of the legal representative"),
                 _("The page or side with the photo."), _always),
    DocumentKind("legal_id_back", _("Identity card, other side"), _("The side with the emblem."), _has_card),
    DocumentKind("bank_permit", _("Account opening permit"),
                 _("Or the bank's confirmation of the basic account."), _always),
    DocumentKind("authorisation", _("Letter of authorisation"),
                 _("Needed where the contact is not the legal representative; with the company's seal."),
                 _is_represented),
    DocumentKind("property_contract", _("Property service contract"),
                 _("The first and the last page; it speeds up the review."), lambda _facts: False),
)  # fmt: skip
KINDS: Mapping[str, DocumentKind] = {kind.code: kind for kind in DOCUMENT_KINDS}
