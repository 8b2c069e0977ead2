"""All rows of `make bench`, in the order in which they are measured and shown; and those measured when asked for."""

from __future__ import annotations

from bench.rows import admin, cashier, claim, close, delivery, gopay, intake, notify, peers, reconcile, rsa
from bench.table import Row

ROWS: tuple[Row, ...] = (
    *gopay.ROWS, *rsa.ROWS, *notify.ROWS, *cashier.ROWS, *delivery.ROWS, *claim.ROWS, *close.ROWS, *reconcile.ROWS,
    *admin.ROWS, *peers.ROWS,
)  # fmt: skip
# With FULL=1, or by name.
MORE: tuple[Row, ...] = intake.ROWS
