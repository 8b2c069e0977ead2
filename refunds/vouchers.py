"""Vouchers (凭证) of payouts by hand."""

from __future__ import annotations

from paycenter.uploads import UploadFolder

VOUCHERS = UploadFolder("vouchers")
