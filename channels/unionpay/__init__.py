"""UnionPay online gateway (ACP 5.1.0): https://open.unionpay.com/tjweb/acproduct/list?apiservId=448"""
