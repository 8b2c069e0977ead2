"""Contracts for deduction without password (免密代扣): signed once by the payer, used by gopay later."""
