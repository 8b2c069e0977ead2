"""Trades, their attempts and timeline, abnormal payments and contracts: all read-only."""

from trades.admin import abnormal, contract, health, trade

__all__ = ["abnormal", "contract", "health", "trade"]
