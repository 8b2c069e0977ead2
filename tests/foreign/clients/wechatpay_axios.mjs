// npm wechatpay-axios-plugin, unmodified: `baseURL` is an ordinary axios option of it.
import { load, serve } from './lines.mjs';

const { Wechatpay, Rsa, Aes, Formatter } = load('wechatpay-axios-plugin');
let pay;
let certs;
let secret;

const settled = (promise) => promise.then(
  ({ status, data }) => ({ status, data }),
  (error) => {
    if (!error.response || error.response.status < 400) throw error;
    return { status: error.response.status, data: error.response.data };
  },
);

const make = (config, known) => new Wechatpay({
  mchid: config.mch_id, serial: config.serial, privateKey: config.merchant_private_key, certs: known,
  baseURL: config.base_url,
});

await serve({
  async configure({ config }) {
    secret = config.api_v3_key;
    certs = { any: config.verifier };
    if (config.serial_of_verifier) certs = { [config.serial_of_verifier]: config.verifier };
    pay = make(config, certs);
  },
  create: ({ scene, order }) => settled(pay.v3.pay.transactions[scene].post(order)),
  query: ({ orderNo, mchid }) => settled(
    pay.v3.pay.transactions.outTradeNo._out_trade_no_.get({ params: { mchid }, out_trade_no: orderNo }),
  ),
  close: ({ orderNo, mchid }) => settled(
    pay.v3.pay.transactions.outTradeNo._out_trade_no_.close.post({ mchid }, { out_trade_no: orderNo }),
  ),
  refund: ({ refund }) => settled(pay.v3.refund.domestic.refunds.post(refund)),
  refundQuery: ({ refundNo }) => settled(
    pay.v3.refund.domestic.refunds._out_refund_no_.get({ out_refund_no: refundNo }),
  ),
  notice({ headers, body }) {
    const text = Formatter.response(headers['wechatpay-timestamp'], headers['wechatpay-nonce'], body);
    const key = certs[headers['wechatpay-serial']];
    if (!key || !Rsa.verify(text, headers['wechatpay-signature'], key)) return null;
    const { nonce, associated_data: aad, ciphertext } = JSON.parse(body).resource;
    return JSON.parse(Aes.AesGcm.decrypt(ciphertext, secret, nonce, aad));
  },
});
