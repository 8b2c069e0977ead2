"""UnionPay's online gateway (ACP 5.1.0) as a stand-in."""
