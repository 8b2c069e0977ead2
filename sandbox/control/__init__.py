"""The controls: JSON calls by which a person or a test plays payer, channel and bad luck."""
