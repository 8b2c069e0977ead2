"""The wallet's HTML: small, no scripts, readable from 320 px up, dark mode by the system's choice."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from sandbox.wallet.texts import EN, ZH, text

_COLOURS = {"alipay": "#1677ff", "mpgs": "#7c3f00", "unionpay": "#0b7285", "wechat": "#07a24e"}

_STYLE = """
:root{--brand:#334155;--ink:#0f172a;--soft:#5b6472;--line:#e2e8f0;--card:#fff;--ground:#f1f5f9}
@media(prefers-color-scheme:dark){:root{--ink:#f1f5f9;--soft:#a3adbb;--line:#334155;--card:#1e293b;--ground:#0f172a}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;background:var(--ground);color:var(--ink);
 font:16px/1.5 system-ui,"PingFang SC","Noto Sans CJK SC","Microsoft YaHei",sans-serif}
header{background:var(--brand);color:#fff;padding:.85rem 1rem}
header div{max-width:40rem;margin:auto;display:flex;justify-content:space-between;align-items:center;gap:1rem}
header a{color:#fff}
main{max-width:40rem;margin:1rem auto;padding:0 1rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:1.25rem;margin-bottom:1rem}
.amount{font-size:2.5rem;font-weight:600;text-align:center;margin:.25rem 0 .75rem;overflow-wrap:anywhere}
.amount small{font-size:1.25rem;margin-right:.2rem}
.lead{text-align:center;color:var(--soft);margin:0}
dl{display:grid;grid-template-columns:auto 1fr;gap:.4rem 1rem;margin:0}
dt{color:var(--soft)}dd{margin:0;text-align:right;overflow-wrap:anywhere}
form{display:grid;gap:.6rem;margin-top:1rem}
button,.button{font:inherit;border:1px solid var(--line);background:transparent;color:inherit;border-radius:10px;
 padding:.75rem 1rem;cursor:pointer;text-align:center;text-decoration:none;display:block}
.primary{background:var(--brand);border-color:var(--brand);color:#fff;font-weight:600}
button:focus-visible,a:focus-visible,textarea:focus-visible{outline:3px solid #f59e0b;outline-offset:2px}
textarea{font:inherit;width:100%;min-height:5.5rem;border:1px solid var(--line);border-radius:10px;padding:.6rem;
 background:transparent;color:inherit}
label{color:var(--soft)}
ul{list-style:none;margin:0;padding:0}
li+li{border-top:1px solid var(--line)}
.card>ul,.card>.lead{margin-bottom:.75rem}
li a{display:flex;justify-content:space-between;gap:1rem;padding:.75rem 0;color:inherit;text-decoration:none}
li span{overflow-wrap:anywhere}li small{display:block;color:var(--soft)}
.badge{display:inline-block;color:#fff;border-radius:6px;padding:0 .4rem;font-size:.8rem;margin-right:.4rem}
.card>p:first-child{margin-top:0}
.mark{font-size:3rem;text-align:center;line-height:1;color:var(--brand);margin:0 0 .5rem}
h1{font-size:1.05rem;margin:0}h2{font-size:1rem;margin:0 0 .5rem}
footer{text-align:center;color:var(--soft);font-size:.85rem;padding:0 1rem 1.5rem}
"""


def page(title: str, body: str, *, language: str, path: str, channel: str | None = None) -> str:
    """A whole page; `path` is where the other language is found."""
    brand = f":root{{--brand:{_COLOURS.get(channel or '', '#334155')}}}"
    other = EN if language == ZH else ZH
    link = f'<a href="{escape(path)}?lang={other}" lang="{other}">{text("other_language", language)}</a>'
    return (
        f'<!doctype html><html lang="{"zh-CN" if language == ZH else "en"}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}{brand}</style></head><body>"
        f"<header><div><h1>{escape(title)}</h1>{link}</div></header><main>{body}</main>"
        f"<footer>{text('fake', language)}</footer></body></html>"
    )


def badge(channel: str, name: str) -> str:
    return f'<span class="badge" style="background:{_COLOURS.get(channel, "#334155")}">{escape(name)}</span>'


def rows(pairs: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs if v) + "</dl>"


def button(action: str, label: str, *, primary: bool = False) -> str:
    kind = ' class="primary"' if primary else ""
    return f'<button name="action" value="{action}"{kind}>{escape(label)}</button>'
