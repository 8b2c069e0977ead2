"""All rows of `make bench`, in the order in which they are measured and shown."""

from __future__ import annotations

from bench.rows import admin, cashier, claim, close, delivery, gopay, notify, peers, reconcile, rsa
from bench.table import Row

ROWS: tuple[Row, ...] = (
    *gopay.ROWS, *rsa.ROWS, *notify.ROWS, *cashier.ROWS, *delivery.ROWS, *claim.ROWS, *close.ROWS, *reconcile.ROWS,
    *admin.ROWS, *peers.ROWS,
)  # fmt: skip
