"""Trades, their attempts and timeline, abnormal payments and contracts. Money is only moved through services."""

from trades.admin import abnormal, acting, asking, attempt, contract, health, keeping, trade

__all__ = ["abnormal", "acting", "asking", "attempt", "contract", "health", "keeping", "trade"]
