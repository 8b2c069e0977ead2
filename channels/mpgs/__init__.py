"""MPGS hosted checkout, behind an OAuth2 payment proxy or spoken to directly. See docs/channels/mpgs.md."""
