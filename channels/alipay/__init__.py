"""Alipay, Open API v2 (`gateway.do`, RSA2), in key mode and in certificate mode."""
