// npm alipay-sdk, unmodified: only its documented `gateway` option points elsewhere.
import { load, serve } from './lines.mjs';

const { AlipaySdk } = load('alipay-sdk');
let sdk;

// The client trips over parameters that are there but undefined.
const given = (params) => Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined));

await serve({
  configure({ config }) {
    const certificates = config.key_mode === 'certificate'
      ? {
        appCertContent: config.app_cert,
        alipayPublicCertContent: config.alipay_cert,
        alipayRootCertContent: config.alipay_root_cert,
      }
      : { alipayPublicKey: config.alipay_public_key };
    sdk = new AlipaySdk({
      appId: config.app_id, privateKey: config.app_private_key, keyType: 'PKCS8', gateway: config.gateway_url,
      camelcase: false, ...certificates,
    });
  },
  exec: ({ method, biz, notifyUrl }) => sdk.exec(
    method, given({ notify_url: notifyUrl, biz_content: biz }), { validateSign: true },
  ),
  page: ({ method, biz, notifyUrl, returnUrl }) => sdk.pageExecute(
    method, 'GET', given({ notify_url: notifyUrl, return_url: returnUrl, biz_content: biz }),
  ),
  form: ({ method, biz, returnUrl }) => sdk.pageExecute(method, 'POST', { return_url: returnUrl, biz_content: biz }),
  order: ({ biz }) => sdk.sdkExecute('alipay.trade.app.pay', { biz_content: biz }),
  notice: ({ fields }) => sdk.checkNotifySignV2(fields),
});
