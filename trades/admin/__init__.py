"""Trades, their attempts and timeline, and abnormal payments: all read-only."""

from trades.admin import abnormal, health, trade

__all__ = ["abnormal", "health", "trade"]
