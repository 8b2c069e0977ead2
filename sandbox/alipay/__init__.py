"""Alipay's open API v2 (`gateway.do`, RSA2), https://opendocs.alipay.com/open/common/ ."""
