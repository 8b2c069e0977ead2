"""MPGS hosted checkout, and an OAuth2 payment proxy in front of it."""
