"""The payer's pages. Thin: they choose a template or an address; rules live in services and selectors."""
