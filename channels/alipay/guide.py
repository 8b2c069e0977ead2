"""The way through Alipay's consoles: https://b.alipay.com (merchants) and https://open.alipay.com (apps and keys)."""

from __future__ import annotations

from channels.base.fields import Label
from channels.base.guides import Copied, GuideStep, OurValue

_CONSOLE = "https://open.alipay.com/develop/manage"

GUIDE: tuple[GuideStep, ...] = (
    GuideStep(
        Label("签约支付产品", "Sign up for the payment products"),
        Label("用企业支付宝登录商家平台，在“产品中心”签约需要的产品（如电脑网站支付、手机网站支付、当面付）。"
              "再到“账号中心 → 商户信息”复制以 2088 开头的 PID。",
              "Sign in to the merchant portal with the company's Alipay account and sign up for the products you need "
              "(PC page, WAP, face to face …) in the product centre. Then copy the PID that begins with 2088 from "
              "Account centre → Merchant information."),
        fields=("seller_id",), link="https://b.alipay.com",
    ),
    GuideStep(
        Label("创建应用", "Create an app"),
        Label("在开放平台控制台创建“网页/移动应用”，绑定上一步的产品并提交上线。复制应用名称下方的 16 位 APPID。",
              "In the Open Platform's console create a web or mobile app, bind the products to it and publish it. "
              "Copy the 16 digits below its name."),
        fields=("app_id",), link=_CONSOLE,
    ),
    GuideStep(
        Label("设置接口加签方式", "Set how requests are signed"),
        Label("用“支付宝开放平台密钥工具”生成 RSA2（2048 位）密钥对。在“开发设置 → 接口加签方式”上传应用公钥，"
              "再点“查看”复制支付宝公钥；选择证书方式时，下载三张证书。应用私钥只保存在您这里，粘贴到下面，加密保存。",
              "Make an RSA2 key pair (2048 bits) with Alipay's key tool. Upload the app public key under Development "
              "settings → Interface signing, then open View and copy the Alipay public key; in certificate mode "
              "download the three certificates. The private key is with you alone: paste it below, it is encrypted."),
        fields=("key_mode", "app_private_key", "alipay_public_key", "app_cert", "alipay_cert", "alipay_root_cert"),
        link=_CONSOLE,
    ),
    GuideStep(
        Label("填写我们的地址", "Enter our addresses"),
        Label("在“开发设置”中填写授权回调地址（用于在支付宝内识别付款人）和应用网关。每笔订单的通知地址随订单发送，不用单独设置。",
              "Under Development settings enter the authorisation callback, which tells who pays inside Alipay, and "
              "the app gateway. Each order's notification address travels with the order."),
        copies=(Copied(Label("授权回调地址", "Authorisation callback"), OurValue.CASHIER),
                Copied(Label("应用网关", "App gateway"), OurValue.NOTIFY)),
        link=_CONSOLE,
    ),
    GuideStep(
        Label("免密代扣（可选）", "Deduction without password (optional)"),
        Label("只有签约了“商家扣款”才需要：填写支付宝给出的签约场景码。",
              "Only where merchant deduction was contracted: enter the scene that Alipay assigned."),
        fields=("deduct_sign_scene",),
    ),
)  # fmt: skip
