"""Settlement reconciliation (结算对账): when the bank pays out, how much it should be, and what really came."""
