"""Cashier orders taken through a Redis stream: answered when Redis has them, written in bulk by a program of their own.

Whoever needs an order before that (its payer, its app) has it written at once, so that everything else, and every
channel, sees stored rows only. docs/order-stream.md says what this trades for what.
"""
