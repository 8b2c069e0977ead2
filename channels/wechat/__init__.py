"""WeChat Pay, API v3, direct merchant: https://pay.weixin.qq.com/doc/v3/merchant/4012062524"""
