// The element asks again politely, and what grows old says so: on a clock of the test's own, against a server that
// answers as the test wants. Environment: lib.mjs, hosting.mjs.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FULL, STATES_DIR, base, serve, withBrowser, withPage } from './lib.mjs';
import { KINDS, look, until, withHost } from './hosting.mjs';

withBrowser();

const NOW = new Date('2026-09-30T10:05:00+07:00');
const SCRIPT = await (await fetch(`${base}/embed/v1.js`)).text();
const state = async (kind, name, lang = 'vi') => readFile(join(STATES_DIR, `${kind}-${name}-${lang}-auto.json`), 'utf8');

/** A service whose answers are `answers[path]`, `{ text, etag, maxAge?, status? }`; everything asked is in `asked`. */
async function withService(answers, test) {
  const asked = [];
  const server = await serve((path, url, { headers }) => {
    const cors = { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' };
    if (path === '/embed/v1.js') return { headers: { ...cors, 'Content-Type': 'text/javascript; charset=utf-8' }, body: SCRIPT };
    const answer = answers[path];
    if (!answer) return undefined;
    const { text, etag, maxAge = 5, status = 200 } = answer;
    const known = headers['if-none-match'];
    asked.push({ path, known, referer: headers.referer, cookie: headers.cookie });
    if (status !== 200) return { status, headers: { ...cors, 'Cache-Control': 'no-store' }, body: '{"type":"x"}' };
    const lasting = { ...cors, ETag: etag, 'Cache-Control': `public, max-age=${maxAge}`, 'Content-Type': 'application/json' };
    return known === etag ? { status: 304, headers: lasting, body: '' } : { headers: lasting, body: text };
  });
  try {
    return await test(server.origin, asked);
  } finally {
    await server.close();
  }
}

/** A page with these elements, on a clock that stands until it is moved. */
async function withElements(origin, elements, test) {
  await withHost({ body: `<script type="module" crossorigin src="${origin}/embed/v1.js"></script>${elements}` }, async (page, record) => {
    await page.clock.install({ time: NOW });
    await page.addInitScript(() => {
      // Times of requests, by the page's clock, and what still waits.
      const { fetch: ask, setTimeout: set, clearTimeout: clear } = globalThis;
      const live = new Set();
      globalThis.asked = [];
      globalThis.waiting = () => live.size;
      globalThis.answered = [];
      globalThis.fetch = async (address, options) => {
        globalThis.asked.push(Date.now());
        const answer = await ask(address, options);
        const text = await answer.text();
        answer.text = async () => {
          globalThis.answered.push(Date.now());
          return text;
        };
        return answer;
      };
      globalThis.setTimeout = (run, wait) => {
        const id = set(() => { live.delete(id); run(); }, wait);
        live.add(id);
        return id;
      };
      globalThis.clearTimeout = (id) => { live.delete(id); clear(id); };
      globalThis.moved = 0;
      new PerformanceObserver((list) => { for (const { value } of list.getEntries()) globalThis.moved += value; }).observe({ type: 'layout-shift', buffered: true });
    });
    await page.goto(record.origin);
    // Before the first refresh can be due.
    await page.clock.pauseAt(NOW.getTime() + 40_000);
    await page.waitForFunction(() => [...document.querySelectorAll('bang-gia')].every((element) => element.shadowRoot?.querySelector('.bgia')));
    await test(page, record);
  });
}

const shown = (page, at = 0) => page.evaluate((at) => document.querySelectorAll('bang-gia')[at].shadowRoot.querySelector('.bgia').textContent, at);
/** Waits until every question has its answer, and the element has gone on. */
const settled = (page) => page.waitForFunction(() => globalThis.asked.length > 0 && globalThis.asked.length === globalThis.answered.length);
const run = (page, seconds) => page.clock.runFor(seconds * 1000);
const hide = (page, hidden) => page.evaluate((hidden) => {
  Object.defineProperty(Document.prototype, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
}, hidden);

describe('the element', () => {
  for (const [maxAge, pause] of [[5, 60], [60, 60], [120, 120]]) {
    it(`asks again after ${pause} s, ±10 %, conditionally, where answers may be kept for ${maxAge} s`, async () => {
      const answer = { text: await state('gold', 'fresh'), etag: '"one"', maxAge };
      await withService({ '/fragments/gold.json': answer }, (origin, asked) => withElements(origin, '<bang-gia widget="gold"></bang-gia>', async (page, { heard }) => {
        for (let round = 1; round <= 6; round += 1) {
          await settled(page);
          await run(page, Math.ceil(pause * 1.1) + 1);
          await until(() => asked.length > round, 'the next request');
        }
        await settled(page);
        const gaps = await page.evaluate(() => globalThis.asked.slice(1).map((at, place) => (at - globalThis.answered[place]) / 1000));
        assert.equal(gaps.length, 6);
        assert.ok(gaps.every((gap) => gap >= pause * 0.9 - 0.001 && gap <= pause * 1.1 + 0.1), `${gaps}`);
        assert.ok(new Set(gaps).size > 1, 'many readers do not ask in step');
        assert.deepEqual(asked.slice(1).map(({ known }) => known), asked.slice(1).map(() => '"one"'));
        assert.ok(asked.every(({ referer, cookie }) => !referer && !cookie));
        assert.deepEqual(heard, []);
      }));
    });
  }

  it('asks once for three equal ones', async () => {
    const answers = Object.fromEntries(await Promise.all(['gold', 'fx'].map(async (kind) => [`/fragments/${kind}.json`, { text: await state(kind, 'fresh'), etag: `"${kind}"` }])));
    const elements = '<bang-gia widget="gold"></bang-gia>'.repeat(3) + '<bang-gia widget="fx"></bang-gia>';
    await withService(answers, (origin, asked) => withElements(origin, elements, async (page) => {
      const count = () => ['gold', 'fx'].map((kind) => asked.filter(({ path }) => path === `/fragments/${kind}.json`).length);
      assert.deepEqual(count(), [1, 1]);
      await settled(page);
      await run(page, 67);
      await until(() => count().every((number) => number === 2), 'the second round');
      assert.deepEqual(count(), [2, 2]);
    }));
  });

  it('asks nothing while its tab is hidden, and at once when it is looked at again', async () => {
    const answer = { text: await state('gold', 'fresh'), etag: '"one"' };
    await withService({ '/fragments/gold.json': answer }, (origin, asked) => withElements(origin, '<bang-gia widget="gold"></bang-gia>', async (page) => {
      await settled(page);
      await hide(page, true);
      const before = asked.length;
      assert.equal(await page.evaluate(() => globalThis.waiting()), 0, 'not even a timer');
      await run(page, 3600);
      assert.equal(asked.length, before);
      Object.assign(answer, { text: await state('gold', 'stale'), etag: '"two"' });
      await hide(page, false);
      await page.waitForFunction(() => document.querySelector('bang-gia').shadowRoot.textContent.includes('Dữ liệu cũ'));
      assert.equal(asked.length, before + 1);
    }));
  });

  it('starts in a hidden tab and asks when it is looked at', async () => {
    const answer = { text: await state('gold', 'fresh'), etag: '"one"' };
    await withService({ '/fragments/gold.json': answer }, (origin, asked) => withHost({ body: `<script>Object.defineProperty(Document.prototype, 'hidden', { configurable: true, get: () => true });</script><script type="module" crossorigin src="${origin}/embed/v1.js"></script><bang-gia widget="gold">link</bang-gia>` }, async (page, record) => {
      await page.goto(record.origin);
      await page.waitForFunction(() => customElements.get('bang-gia'));
      assert.equal(asked.length, 0);
      await hide(page, false);
      await page.waitForFunction(() => document.querySelector('bang-gia').shadowRoot.querySelector('.bgia'));
      assert.equal(asked.length, 1);
    }));
  });

  for (const [failure, wrong] of [['fails', { status: 500 }], ['is busy', { status: 503 }], ['refuses', { status: 429 }], ['answers something else', { text: '<html>a portal</html>', etag: '"x"' }]]) {
    it(`keeps its rows while the server ${failure}, and shows the next ones after`, async () => {
      const fresh = { text: await state('gold', 'fresh'), etag: '"one"' };
      const answers = { '/fragments/gold.json': fresh };
      await withService(answers, (origin, asked) => withElements(origin, '<bang-gia widget="gold"></bang-gia>', async (page) => {
        const rows = await shown(page);
        answers['/fragments/gold.json'] = { ...fresh, ...wrong };
        for (let round = 0; round < 3; round += 1) {
          await settled(page);
          const before = asked.length;
          await run(page, 67);
          await until(() => asked.length > before, 'another attempt');
          await settled(page);
          assert.equal(await shown(page), rows);
        }
        answers['/fragments/gold.json'] = { text: await state('gold', 'held'), etag: '"two"' };
        await run(page, 67);
        await page.waitForFunction((rows) => document.querySelector('bang-gia').shadowRoot.querySelector('.bgia').textContent !== rows, rows);
        assert.match(await shown(page), /chờ kiểm tra/);
      }));
    });
  }

  it('shows changed figures without moving anything', async () => {
    const answers = {};
    for (const kind of KINDS) answers[`/fragments/${kind}.json`] = { text: await state(kind, 'fresh'), etag: '"one"' };
    const elements = KINDS.map((kind) => `<bang-gia widget="${kind}"></bang-gia><p>below</p>`).join('');
    await withService(answers, (origin) => withElements(origin, elements, async (page) => {
      const boxes = () => look(page, () => [...document.querySelectorAll('bang-gia, p')].map((node) => { const { top, height } = node.getBoundingClientRect(); return [top, height]; }));
      const before = await boxes();
      // Nothing was reserved on this page, so that what comes first may move it.
      await page.evaluate(() => { globalThis.moved = 0; });
      for (const kind of KINDS) {
        const [style, tree] = JSON.parse(await state(kind, 'fresh'));
        const changed = JSON.stringify([style, JSON.parse(JSON.stringify(tree).replace(/(\d)(?=[.,]\d)/g, (digit) => String((Number(digit) + 1) % 10)))]);
        answers[`/fragments/${kind}.json`] = { text: changed, etag: '"two"' };
      }
      const rows = await Promise.all(KINDS.map((_, at) => shown(page, at)));
      await settled(page);
      await run(page, 67);
      for (const at of KINDS.keys()) await page.waitForFunction(([at, rows]) => document.querySelectorAll('bang-gia')[at].shadowRoot.querySelector('.bgia').textContent !== rows, [at, rows[at]]);
      assert.deepEqual(await boxes(), before);
      // Two frames, by the browser's clock, in which a shift would be told.
      await look(page, () => new Promise((turn) => requestAnimationFrame(() => requestAnimationFrame(() => turn()))));
      assert.equal(await page.evaluate(() => globalThis.moved), 0);
    }));
  });
});

const WORDS = {
  vi: { late: 'Dữ liệu cũ|, từ |Quá hạn| – mất nguồn từ |không có số liệu', old: /Dữ liệu cũ, từ /, gone: /Quá hạn – mất nguồn từ /, none: 'không có số liệu' },
  en: { late: 'Old data|, from |Expired| – source lost since |no data', old: /Old data, from /, gone: /Expired – source lost since /, none: 'no data' },
};
const FRESH = NOW.getTime() / 1000 + 600;
const EXPIRES = FRESH + 3600;

/** The states' samples name no end: this gives every source's line one, as the service does (templates/foot.html). */
const ending = (node) => {
  if (typeof node === 'string') return node;
  let place = 0;
  const [tag, attributes, ...children] = node;
  return [tag, attributes, ...children.map((child) => {
    if (tag !== 'ul' || attributes.class !== 'bgia-foot' || typeof child === 'string') return ending(child);
    const [li, own, ...rest] = child;
    if (!rest.some((part) => part[1]?.class === 'bgia-when')) return child;
    place += 1;
    return [li, { ...own, 'data-s': String(place - 1), 'data-f': String(FRESH), 'data-e': String(EXPIRES) }, ...rest];
  })];
};
const endingTree = (text, lang) => {
  const [style, [tag, attributes, ...children]] = JSON.parse(text);
  return JSON.stringify([style, ending([tag, { ...attributes, 'data-late': WORDS[lang].late }, ...children])]);
};
const endingPage = (html, lang) => html.replace(/(<div class="bgia[^>]*data-widget[^>]*)>/, `$1 data-late="${WORDS[lang].late}">`)
  .split('<ul class="bgia-foot">').map((part, at) => {
    if (at === 0) return part;
    const [list, ...rest] = part.split('</ul>');
    let place = -1;
    const lines = list.replace(/<li>(?=(?:<svg.*?<\/svg>)?\s*<span class="bgia-src">(?:(?!<\/li>)[\s\S])*bgia-when)/g, () => {
      place += 1;
      return `<li data-s="${place}" data-f="${FRESH}" data-e="${EXPIRES}">`;
    });
    return [lines, ...rest].join('</ul>');
  }).join('<ul class="bgia-foot">');

/** What a widget is like: its height, its feet, and which figures are as they were. */
const like = (root) => {
  const widget = root.querySelector('.bgia');
  const drawn = [...widget.querySelectorAll('*')].filter((node) => node.getClientRects().length > 0 && !node.closest('.bgia-vh'));
  return {
    height: widget.getBoundingClientRect().height,
    feet: [...widget.querySelectorAll('[data-f] .bgia-when')].map((when) => when.textContent),
    times: [...widget.querySelectorAll('[data-f] .bgia-when')].map((when) => when.querySelector('time')?.dateTime ?? ''),
    old: widget.querySelectorAll('.bgia-old').length,
    none: widget.querySelectorAll('.bgia-none').length,
    heard: [...widget.querySelectorAll('.bgia-none .bgia-vh')].map((word) => word.textContent),
    best: widget.querySelectorAll('.bgia-best').length,
    coloured: widget.querySelectorAll('.bgia-up, .bgia-down').length,
    figures: [...widget.querySelectorAll('[data-s]:not([data-f])')].filter((cell) => /\d/.test(cell.textContent.replace(/^\D*\d+ tháng|^12 months/, ''))).length,
    wide: drawn.some((node) => node.getBoundingClientRect().right > widget.getBoundingClientRect().right + 1 && !node.closest('.bgia-tape')),
  };
};

/** The same on a page and in an element: fresh until the one second, old until the other, then withheld. */
async function assertAges(page, read, lang, what) {
  const fresh = await read();
  const { old, gone, none } = WORDS[lang];
  assert.ok(fresh.feet.length > 0, what);
  assert.ok(fresh.feet.every((foot) => !old.test(foot) && !gone.test(foot)), `${what}: ${fresh.feet}`);
  const later = async (second) => {
    await page.clock.pauseAt((second - 1) * 1000);
    return read();
  };
  assert.deepEqual(await later(FRESH - 1), fresh, `${what} is fresh until its last second`);
  await page.clock.runFor(3000);
  const stale = await read();
  assert.ok(stale.feet.every((foot) => old.test(foot)), `${what}: ${stale.feet}`);
  assert.deepEqual([stale.height, stale.coloured, stale.best, stale.wide, stale.times], [fresh.height, 0, 0, false, fresh.times], what);
  assert.ok(stale.old > fresh.old, `${what} has figures in grey`);
  assert.deepEqual(await later(EXPIRES - 1), stale, `${what} is old until its last second`);
  await page.clock.runFor(3000);
  const expired = await read();
  assert.ok(expired.feet.every((foot) => gone.test(foot)), `${what}: ${expired.feet}`);
  assert.deepEqual([expired.height, expired.figures, expired.wide], [fresh.height, 0, false], what);
  assert.ok(expired.none > fresh.none && expired.heard.includes(none), `${what} says that there is no figure: ${expired.heard}`);
}

describe('what lies in a cache', () => {
  for (const lang of ['vi', 'en']) {
    for (const width of FULL ? [300, 390, 700, 1100] : [300, 700]) {
      it(`grows old in the element, in words of ${lang}, ${width} px wide, and stays as high`, async () => {
        const answers = {};
        for (const kind of KINDS) answers[`/fragments/${kind}.json`] = { text: endingTree(await state(kind, 'fresh', lang), lang), etag: '"one"' };
        for (const kind of KINDS) {
          await withService(answers, (origin) => withHost({ width: 1300, body: `<script type="module" crossorigin src="${origin}/embed/v1.js"></script><div style="width:${width}px"><bang-gia widget="${kind}" lang="${lang}"></bang-gia></div>` }, async (page, record) => {
            await page.clock.install({ time: NOW });
            await page.goto(record.origin);
            await page.waitForFunction(() => document.querySelector('bang-gia').shadowRoot?.querySelector('.bgia'));
            // It goes on asking, and the copy is what it gets.
            const read = () => page.evaluate(`(${like})(document.querySelector('bang-gia').shadowRoot)`);
            await assertAges(page, read, lang, `${kind} ${lang} ${width}`);
            assert.deepEqual(record.heard, []);
          }));
        }
      });

      it(`grows old in a frame's page, in words of ${lang}, ${width} px wide, and stays as high`, async () => {
        for (const kind of KINDS) {
          const html = endingPage(await readFile(join(STATES_DIR, `${kind}-fresh-${lang}-auto.html`), 'utf8'), lang);
          const server = await serve((path) => (path === '/' ? { body: html } : { status: 204 }));
          try {
            await withPage({ width }, async (page, { heard, requests }) => {
              await page.clock.install({ time: NOW });
              await page.goto(`${server.origin}/`);
              await assertAges(page, () => page.evaluate(`(${like})(document)`), lang, `${kind} ${lang} ${width}`);
              assert.deepEqual(heard, []);
              assert.equal(requests.length, 1, 'it asks nothing');
            });
          } finally {
            await server.close();
          }
        }
      });
    }
  }
});

describe('figures of a moment', () => {
  const moment = async () => {
    const { generated_at: at } = await (await fetch(`${base}/v1/board`)).json();
    return at;
  };
  const YEAR_LATER = new Date(NOW.getTime() + 365 * 864e5);

  it('are not called old a year later, in a page of their own', async () => {
    const at = await moment();
    await withPage({}, async (page) => {
      await page.clock.install({ time: YEAR_LATER });
      // A chart says it by its range.
      for (const widget of KINDS.filter((kind) => kind !== 'chart')) {
        await page.goto(`${base}/widgets/${widget}?at=${encodeURIComponent(at)}`);
        assert.match(await page.locator('.bgia-rec').textContent(), /lúc \d\d:\d\d \d\d\/\d\d\/\d{4}/);
        assert.equal(await page.locator('[data-f], [data-is]').count(), 0, widget);
        // What was old or missing then is so in what is sent, and nothing is added to it.
        const sent = await (await fetch(`${base}/widgets/${widget}?at=${encodeURIComponent(at)}`)).text();
        assert.equal(await page.locator('.bgia-old, .bgia-none').count(), (sent.match(/class="[^"]*\bbgia-(?:old|none)\b/g) ?? []).length, widget);
      }
    });
  });

  it('are asked for once by the element, and stay', async () => {
    const at = await moment();
    const tree = await (await fetch(`${base}/fragments/gold.json?at=${encodeURIComponent(at)}`)).text();
    const answer = { text: tree, etag: '"then"', maxAge: 31_536_000 };
    await withService({ '/fragments/gold.json': answer }, (origin, asked) => withElements(origin, `<bang-gia widget="gold" at="${at}"></bang-gia>`, async (page) => {
      const before = await shown(page);
      assert.match(before, /lúc \d\d:\d\d/);
      await settled(page);
      await run(page, 86_400);
      assert.equal(await shown(page), before);
      assert.equal(asked.length, 1);
    }));
  });
});
