"""PyPI python-alipay-sdk in key and certificate mode; its private gateway attribute is replaced."""

from alipay import AliPay, DCAliPay
from lines import serve

known = {}


def configure(config):
    common = {"appid": config["app_id"], "app_notify_url": config["notify_url"],
              "app_private_key_string": config["app_private_key"]}
    if config["key_mode"] == "certificate":
        client = DCAliPay(
            app_public_key_cert_string=config["app_cert"], alipay_public_key_cert_string=config["alipay_cert"],
            alipay_root_cert_string=config["alipay_root_cert"], **common,
        )
    else:
        client = AliPay(alipay_public_key_string=config["alipay_public_key"], **common)
    client._gateway = config["gateway_url"]
    known["client"] = client


def notice(fields):
    signature = fields.pop("sign")
    return known["client"].verify(fields, signature)


serve({
    "configure": configure,
    "call": lambda method, biz: known["client"].server_api(method, biz_content=biz),
    "order": lambda method, biz: known["client"].client_api(method, biz_content=biz),
    "create": lambda order_no, amount: known["client"].api_alipay_trade_precreate("物业费", order_no, amount),
    "query": lambda order_no: known["client"].api_alipay_trade_query(out_trade_no=order_no),
    "close": lambda order_no: known["client"].api_alipay_trade_close(out_trade_no=order_no),
    "wap": lambda order_no, amount, return_url: known["client"].api_alipay_trade_wap_pay(
        "物业费", order_no, amount, return_url=return_url
    ),
    "notice": notice,
})
