"""A bank's payment gateway: 6- or 10-digit order numbers that count anew each day. See docs/channels/bank.md."""
