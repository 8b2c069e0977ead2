"""Local stand-ins for payment providers, faithful on the wire, for development and tests.

A program of its own: `python -m sandbox serve`. It imports nothing of the payment center, so that
the two sides of a protocol were written twice. A provider is one folder below `sandbox`.
"""
