"""WeChat Pay API v3 for direct merchants, https://pay.weixin.qq.com/doc/v3/merchant/ ."""
