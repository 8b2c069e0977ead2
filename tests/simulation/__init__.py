"""Random histories of one order, with several processes at work, a clock of its own, and crashes.

The real services run against a real database: SQLite in memory, or PostgreSQL with a connection per process. What
decides is a scheduler: which process goes on, between which statements (PostgreSQL) or transactions (SQLite) another
one takes over, where one dies. One seed is one history; `python -m tests.simulation --history SEED-N` plays it again.
"""
