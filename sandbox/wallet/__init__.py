"""What the payer sees: the phone's payment page, and a desk to reach it without a phone."""
