"""A made-up past: merchants, months of payments, refunds, bills and differences, written in bulk.

For demonstrations and measurements only. Every row is what the services would have written, so that pages, sums and
checks work on it; but nothing goes through the services, because a million payments have to be there in two minutes.
Log-like rows (events, exchanges, messages to apps and their deliveries, alerts) are written for the last days only, as
if older ones had been taken away by retention: the chain of events begins with the first of them and holds.
"""
