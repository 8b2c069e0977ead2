"""Who acts when reconciliation does something by itself."""

SYSTEM = "system:reconciliation"
