/* The payer's pages. Everything that moves money works without this file; it counts down, watches the
   order, leaves for the channel, and opens the payment inside WeChat and Alipay. */
(() => {
  "use strict";

  const FIRST_DELAY = 2000;
  const LAST_DELAY = 5000;
  const LEAVE_AGAIN = performance.getEntriesByType("navigation")[0]?.type === "back_forward";

  const page = document.body.dataset;
  const words = document.getElementById("words")?.dataset ?? {};
  const byId = (id) => document.getElementById(id);
  const say = (text) => {
    const live = byId("live");
    if (live && text) live.textContent = text;
  };

  /* ---- countdown: by the monotonic clock and the server's, so that a wrong clock of the phone does not
     matter; a machine that slept (its monotonic clock stood still) is put right by the next answer */
  let since = { left: Number(page.left), at: performance.now() };
  let expireAt = 0;
  const secondsLeft = () => since.left - (performance.now() - since.at) / 1000;

  function putRight(response) {
    const now = Date.parse(response.headers.get("Date") ?? "");
    if (!now || !expireAt) return;
    const left = (expireAt - now) / 1000;
    if (Math.abs(left - secondsLeft()) > 2) since = { left, at: performance.now() };
  }

  function clockText(seconds) {
    const two = (n) => String(n).padStart(2, "0");
    const days = Math.floor(seconds / 86400);
    const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
    if (seconds < 3600) return rest;
    return `${days ? `${days}d ` : ""}${two(Math.floor((seconds % 86400) / 3600))}:${rest}`;
  }

  function countDown() {
    const clock = byId("clock");
    if (!clock) return;
    let said = Infinity;
    const tick = () => {
      const left = Math.max(0, Math.ceil(secondsLeft()));
      clock.textContent = clockText(left);
      byId("ring")?.setAttribute("stroke-dasharray", `${(100 * left) / Number(page.total)} 100`);
      byId("countdown").classList.toggle("soon", left <= 60);
      for (const [limit, text] of [[300, words.five], [60, words.one]]) {
        if (left <= limit && left > limit - 5 && said > limit) {
          said = limit;
          say(text);
        }
      }
      if (left > 0) return setTimeout(tick, 1000 - ((performance.now() - since.at) % 1000));
      return setTimeout(watch.now, 600);
    };
    tick();
  }

  /* ---- watching the order: 2 s, slowing to 5 s; not in hidden tabs; not after the end */
  const watch = (() => {
    let delay = FIRST_DELAY;
    let timer = 0;
    let etag = "";
    let asking = false;
    let offline = false;
    let over = page.final === "1" || !page.statusUrl;

    const changed = (found) =>
      found.view !== page.view || (page.watch === "attempt" && found.attempt !== page.attempt);

    async function ask() {
      if (over || asking || document.hidden) return;
      asking = true;
      try {
        const headers = etag ? { "If-None-Match": etag } : {};
        const response = await fetch(page.statusUrl, { headers, cache: "no-store", credentials: "same-origin" });
        if (offline) say(words.online);
        offline = false;
        if (response.status === 404) over = true;
        if (response.status === 304) putRight(response);
        if (response.status === 200) {
          etag = response.headers.get("ETag") ?? "";
          const found = await response.json();
          expireAt = Date.parse(found.expire_at);
          if (changed(found)) {
            over = true;
            return void location.replace(page.pageUrl);
          }
          putRight(response);
        }
      } catch {
        if (!offline) say(words.offline);
        offline = true;
      } finally {
        asking = false;
      }
      schedule();
    }

    function schedule() {
      clearTimeout(timer);
      if (over || document.hidden) return;
      timer = setTimeout(ask, delay);
      delay = Math.min(LAST_DELAY, delay * 1.25);
    }

    function now() {
      clearTimeout(timer);
      delay = FIRST_DELAY;
      ask();
    }

    document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : now()));
    addEventListener("pageshow", (event) => event.persisted && now());
    return { start: schedule, now };
  })();

  /* ---- the pay button: pressed once, and usable again when the payer comes back */
  function guardForm(form) {
    const button = form.querySelector("button[type=submit]");
    form.addEventListener("submit", (event) => {
      if (button.disabled) return event.preventDefault();
      button.disabled = true;
      button.setAttribute("aria-busy", "true");
      button.insertAdjacentHTML("afterbegin", '<span class="spinner" aria-hidden="true"></span>');
      return say(words.busy);
    });
    addEventListener("pageshow", () => {
      button.disabled = false;
      button.removeAttribute("aria-busy");
      button.querySelector(".spinner")?.remove();
    });
  }

  /* ---- leaving for the channel; the Back button leads to the order, not to the channel again */
  function leave() {
    const onward = document.querySelector("a[data-onward]");
    const form = document.querySelector("form[data-submit]");
    if (!onward && !form) return;
    if (LEAVE_AGAIN) {
      if (page.pageUrl) location.replace(`${page.pageUrl}?choose=1`);
      return;
    }
    if (onward) location.replace(onward.href);
    else form.requestSubmit();
  }

  /* ---- paying inside WeChat and Alipay: what the app says is a hint; only the center's word counts */
  const outcomes = { paid: "paid", cancelled: "cancelled", failed: "failed" };

  function withBridge(name, ready) {
    if (window[name]) return ready(window[name]);
    const late = setTimeout(() => {
      byId("launch-text").textContent = words.nobridge;
      say(words.nobridge);
    }, 4000);
    return document.addEventListener(`${name}Ready`, () => {
      clearTimeout(late);
      ready(window[name]);
    }, { once: true });
  }

  const launchers = {
    wechat: (launch, done) => withBridge("WeixinJSBridge", (bridge) =>
      bridge.invoke("getBrandWCPayRequest", launch.params, (answer) => {
        const word = String(answer.err_msg ?? "");
        done(word.endsWith(":ok") ? outcomes.paid : word.endsWith(":cancel") ? outcomes.cancelled : outcomes.failed);
      })),
    alipay: (launch, done) => withBridge("AlipayJSBridge", (bridge) =>
      bridge.call("tradePay", { tradeNO: launch.params.trade_no }, (answer) => {
        const code = String(answer.resultCode ?? "");
        done(["9000", "8000", "6004"].includes(code) ? outcomes.paid : code === "6001" ? outcomes.cancelled : outcomes.failed);
      })),
    mini: (launch) => withBridge("WeixinJSBridge", (bridge) => {
      const pay = encodeURIComponent(JSON.stringify(launch.params));
      bridge.invoke("invokeMiniProgramAPI", { name: "navigateTo", arg: { url: `${launch.mini_page}?pay=${pay}` } }, () => {});
    }),
  };

  function launch() {
    const block = byId("launch");
    if (!block) return;
    const wanted = JSON.parse(block.textContent);
    const text = byId("launch-text");
    const done = (outcome) => {
      const said = { paid: words.confirming, cancelled: words.cancelled, failed: words.failed }[outcome];
      text.textContent = said;
      say(said);
      if (outcome === outcomes.paid) location.replace(wanted.return_url);
    };
    const open = launchers[wanted.device];
    const run = () => (open ? open(wanted, done) : (text.textContent = words.nobridge));
    byId("launch-button").addEventListener("click", run);
    if (!LEAVE_AGAIN) run();
  }

  /* ---- the result: back to the merchant after a moment, unless the payer wants to stay */
  function forward() {
    const link = document.querySelector("a[data-forward]");
    if (!link) return;
    let left = Number(link.dataset.forward);
    const line = byId("forward");
    const text = byId("forward-text");
    line.hidden = false;
    const tick = () => {
      if (left <= 0) return location.assign(link.href);
      text.textContent = text.dataset.text.replace("{n}", left);
      left -= 1;
      timer = setTimeout(tick, 1000);
      return undefined;
    };
    let timer = 0;
    byId("stay").addEventListener("click", () => {
      clearTimeout(timer);
      line.hidden = true;
      link.focus();
    });
    if (LEAVE_AGAIN) line.hidden = true;
    else tick();
  }

  document.querySelectorAll("form[data-pay], form[data-submit]").forEach(guardForm);
  document.querySelector("[data-focus]")?.focus({ preventScroll: true });
  countDown();
  watch.start();
  launch();
  forward();
  leave();
})();
