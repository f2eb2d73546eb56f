// What readers get, in a real browser: the panel's pages in every state, and the panel of a running service as a
// document and inside the frames of strict host pages. Waits for conditions, never for times.
//
//   STATES_DIR=DIR BASE_URL=http://127.0.0.1:8080 npm test
//
// STATES_DIR   what `cargo run -p widgets --example states -- DIR` wrote
// BASE_URL     a running `banggia serve --replay`; without it the live tests fail, unless STATES_ONLY=1
// SHOTS_DIR    where to keep screenshots, if anywhere
// CHROMIUM     the browser, /usr/bin/chromium unless told

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { chromium } from 'playwright-core';

const { STATES_DIR, BASE_URL, STATES_ONLY, SHOTS_DIR, CHROMIUM = '/usr/bin/chromium' } = process.env;
const LIVE = STATES_ONLY !== '1';
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const VIEWS = [300, 390, 680, 1280].flatMap((width) => ['light', 'dark'].map((scheme) => ({ width, scheme })));
/** The cream and the navy of the visual reference. */
const HOST_GROUND = { light: '#f3ecdc', dark: '#14233b' };
const name = ({ width, scheme }) => `${width} px, ${scheme}`;

let browser;

before(async () => {
  assert.ok(STATES_DIR, 'STATES_DIR is not set: write the pages with the example first');
  if (SHOTS_DIR) await mkdir(SHOTS_DIR, { recursive: true });
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
});

after(() => browser?.close());

/** Serves on a free loopback port; `answer(path)` gives `{ status?, headers?, body }` or nothing for 404. */
async function serve(answer) {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname;
    const { status = 200, headers = {}, body } = (await answer(path)) ?? { status: 404, body: '' };
    response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', ...headers }).end(body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((done) => server.close(done).closeAllConnections()) };
}

/** Runs `test` with a page whose console, errors and requests are on record. */
async function withPage({ width = 300, scheme = 'light', ...options }, test) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, ...options });
  const page = await context.newPage();
  const heard = [];
  const requests = [];
  page.on('console', (message) => heard.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => heard.push(`error: ${error}`));
  page.on('requestfailed', (request) => heard.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('request', (request) => requests.push(request.url()));
  try {
    return await test(page, { heard, requests, context });
  } finally {
    await context.close();
  }
}

const shot = async (page, file) => SHOTS_DIR && page.screenshot({ path: join(SHOTS_DIR, `${file}.png`), fullPage: true });

/** Geometry that must hold on every page of the panel, measured in the page. */
const measure = (page) => page.evaluate(() => {
  const box = (element) => element.getBoundingClientRect();
  const root = document.documentElement;
  const lines = (caption) => (box(caption.querySelector('.bgia-u')).top < box(caption.querySelector('.bgia-t')).bottom
    && caption.querySelector('.bgia-u').getClientRects().length === 1 ? 1 : 2);
  const spill = [...document.querySelectorAll('.bgia *:not(.bgia-vh)')].filter((element) =>
    !element.closest('.bgia-scroll, .bgia-vh, svg') && box(element).width > 0
    && (box(element).right > root.clientWidth + 0.5 || box(element).left < -0.5)).map((element) => element.outerHTML.slice(0, 80));
  return {
    overflow: root.scrollWidth - root.clientWidth,
    height: box(document.querySelector('.bgia')).height,
    document: root.scrollHeight,
    captionLines: [...document.querySelectorAll('.bgia-cap')].map(lines),
    footWraps: [...document.querySelectorAll('.bgia-foot li')].filter((li) => {
      const when = li.querySelector('.bgia-when');
      return when && (when.getClientRects().length !== 1 || box(when).right > box(li).right + 0.5);
    }).length,
    spill,
  };
});

async function axe(page) {
  await page.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate((tags) => globalThis.axe.run(document, { runOnly: tags }), TAGS);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ').slice(0, 300)}`);
}

describe('pages in every state', { concurrency: 2 }, () => {
  let pages;
  let states;

  before(async () => {
    pages = JSON.parse(await readFile(join(STATES_DIR, 'pages.json'), 'utf8'));
    // The policy a service sends: only the style whose hash the page came with.
    states = await serve(async (path) => {
      const page = pages.find(({ file }) => `/${file}` === path);
      if (!page || extname(path) !== '.html') return undefined;
      const policy = `default-src 'none'; style-src '${page.hash}'; frame-ancestors *`;
      return { headers: { 'Content-Security-Policy': policy }, body: await readFile(join(STATES_DIR, page.file)) };
    });
  });

  after(() => states?.close());

  for (const view of VIEWS) {
    it(`fit, are quiet and equally high at ${name(view)}`, () => withPage(view, async (page, { heard, requests }) => {
      const heights = new Map();
      for (const { file, state, lang, theme } of pages) {
        await page.goto(`${states.origin}/${file}`);
        const { overflow, height, document, captionLines, footWraps, spill } = await measure(page);
        assert.equal(overflow, 0, `${file} scrolls sideways`);
        assert.deepEqual(spill, [], `${file}: parts stand outside`);
        assert.ok(Math.abs(Math.max(document, 900) - Math.max(height, 900)) < 1, `${file}: ${document} and ${height} px high`);
        assert.deepEqual(captionLines, captionLines.map(() => 1), `${file}: a caption takes more than one line`);
        assert.equal(footWraps, 0, `${file}: a foot line does not fit`);
        if (state.startsWith('columns')) continue;
        const key = `${lang} ${theme}`;
        const band = state === 'recorded' ? await page.locator('.bgia-rec').evaluate((band) =>
          band.getBoundingClientRect().height + parseFloat(getComputedStyle(band).marginTop) + parseFloat(getComputedStyle(band).marginBottom)) : 0;
        if (band) assert.ok(Math.abs(band - (theme === 'transparent' ? 38 : 30)) <= 1, `${file}: the band adds ${band} px`);
        if (!heights.has(key)) heights.set(key, height);
        assert.ok(Math.abs(height - band - heights.get(key)) < 0.5, `${file}: ${height} px, others ${heights.get(key)}`);
      }
      assert.deepEqual(heard, []);
      assert.deepEqual(requests.filter((url) => !url.startsWith(states.origin)), []);
    }));

    it(`have no accessibility violations at ${name(view)}`, () => withPage({ ...view, bypassCSP: true }, async (page) => {
      for (const { file, theme } of pages) {
        // A fixed theme looks like the automatic one where its scheme is preferred: look where it is not.
        if (theme === view.scheme) continue;
        await page.goto(`${states.origin}/${file}`);
        // A transparent page stands on its host's ground, which axe cannot know.
        if (theme === 'transparent') await page.addStyleTag({ content: `html { background: ${HOST_GROUND[view.scheme]} !important }` });
        assert.deepEqual(await axe(page), [], file);
      }
    }));

    it(`are drawn at ${name(view)}`, () => withPage(view, async (page) => {
      for (const { file, theme } of pages) {
        if (theme !== 'auto') continue;
        await page.goto(`${states.origin}/${file}`);
        await shot(page, `${file.replace('.html', '')}-${view.width}-${view.scheme}`);
      }
    }));
  }

  it('have ink and ground of their theme', async () => {
    const expected = {
      light: { light: 'rgb(255, 255, 255)', dark: 'rgb(255, 255, 255)' },
      dark: { light: 'rgb(23, 22, 19)', dark: 'rgb(23, 22, 19)' },
      auto: { light: 'rgb(255, 255, 255)', dark: 'rgb(23, 22, 19)' },
      transparent: { light: 'rgba(0, 0, 0, 0)', dark: 'rgba(0, 0, 0, 0)' },
    };
    for (const scheme of ['light', 'dark']) {
      await withPage({ scheme }, async (page) => {
        for (const theme of Object.keys(expected)) {
          await page.goto(`${states.origin}/fresh-vi-${theme}.html`);
          const grounds = await page.evaluate(() => ['html', '.bgia'].map((part) =>
            getComputedStyle(document.querySelector(part)).backgroundColor));
          assert.deepEqual(grounds, Array(2).fill(expected[theme][scheme]), `${theme} where ${scheme} is preferred`);
        }
      });
    }
  });

  it('are complete without JavaScript', () => withPage({ javaScriptEnabled: false }, async (page) => {
    for (const { file, state, lang } of pages.filter(({ theme }) => theme === 'auto')) {
      await page.goto(`${states.origin}/${file}`);
      const text = await page.locator('main').innerText();
      for (const word of lang === 'vi' ? ['Giá vàng 9999', 'Tỷ giá', 'Lãi suất'] : ['Gold 9999', 'Exchange rates', 'Deposit rates']) {
        assert.ok(text.includes(word), `${file}: no ${word}`);
      }
      if (!['expired', 'unavailable'].includes(state)) assert.match(text, /139[,.]50[^]*25[,.]880[^]*2[,.]10/, file);
    }
  }));

  for (const [mode, emulate] of [['forced colours', { forcedColors: 'active' }], ['print', { media: 'print' }]]) {
    it(`lose no text in ${mode}`, () => withPage({ width: 300 }, async (page) => {
      for (const { file } of pages.filter(({ theme, lang }) => theme !== 'light' && lang === 'vi')) {
        await page.emulateMedia({ media: 'screen', forcedColors: 'none' });
        await page.goto(`${states.origin}/${file}`);
        const read = () => page.evaluate(() => {
          const seen = [];
          const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            const range = document.createRange();
            range.selectNodeContents(node);
            const style = getComputedStyle(node.parentElement);
            const drawn = range.getBoundingClientRect().width > 0 && style.visibility === 'visible' && style.color !== style.backgroundColor;
            if (drawn && node.data.trim()) seen.push(node.data.trim());
          }
          return seen;
        });
        const before = await read();
        await page.emulateMedia(emulate);
        assert.deepEqual(await read(), before, file);
        if (mode === 'print') {
          const ink = await page.locator('.bgia').evaluate((panel) => [getComputedStyle(panel).color, getComputedStyle(document.documentElement).backgroundColor]);
          assert.deepEqual(ink, ['rgb(0, 0, 0)', 'rgba(0, 0, 0, 0)'], `${file} is black on paper`);
        }
        const { overflow } = await measure(page);
        assert.equal(overflow, 0, `${file} scrolls sideways`);
        if (file.endsWith('-auto.html')) await shot(page, `${file.replace('.html', '')}-${mode.replace(' ', '-')}`);
      }
    }));
  }

  it('let the eye of the keyboard through in the order of reading', () => withPage({}, async (page) => {
    await page.goto(`${states.origin}/borrowed-vi-auto.html`);
    const names = [];
    for (let link = 0; link < 9; link += 1) {
      await page.keyboard.press('Tab');
      names.push(await page.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return `${document.activeElement.textContent} ${outlineStyle} ${outlineWidth}`;
      }));
    }
    assert.deepEqual(names, ['DOJI', 'vang.today', 'TienPhongBank', 'BIDV', 'BIDV', 'OCB', 'OCB', 'CafeF', 'Bảng Giá']
      .map((text) => `${text} solid 2px`));
  }));

  it('print numbers and dates as Intl does', () => withPage({}, async (page) => {
    const texts = JSON.parse(await readFile(join(STATES_DIR, 'text.json'), 'utf8'));
    for (const lang of ['vi', 'en']) assert.ok(texts.filter((text) => text.lang === lang).length >= 1000, lang);
    await page.goto(`${states.origin}/fresh-vi-auto.html`);
    const differing = await page.evaluate((texts) => {
      const zone = { timeZone: 'Asia/Ho_Chi_Minh' };
      const clock = { hour: '2-digit', minute: '2-digit' };
      const day = { vi: { day: '2-digit', month: '2-digit' }, en: { day: 'numeric', month: 'short' } };
      const made = new Map();
      const make = (kind, locale, options) => {
        const key = JSON.stringify([kind.name, locale, options]);
        if (!made.has(key)) made.set(key, new kind(locale, options));
        return made.get(key);
      };
      const print = ({ lang, sort, value, places }) => {
        const locale = { vi: 'vi', en: 'en-GB' }[lang];
        if (sort === 'number' || sort === 'change') {
          return make(Intl.NumberFormat, locale, { minimumFractionDigits: places, maximumFractionDigits: places,
            signDisplay: sort === 'change' ? 'exceptZero' : 'negative' }).format(value);
        }
        const fields = {
          instant: { ...day[lang], year: 'numeric', ...clock }, clock, date: { ...day[lang], year: 'numeric' },
          day: day[lang], short: { ...day[lang], ...clock },
        }[sort];
        return make(Intl.DateTimeFormat, locale, { ...fields, ...zone }).format(new Date(value));
      };
      return texts.map((text) => ({ ...text, intl: print(text) })).filter(({ text, intl }) => text !== intl).slice(0, 5);
    }, texts);
    assert.deepEqual(differing, []);
  }));
});

describe('the pages of a running service', { skip: !LIVE && 'STATES_ONLY=1' }, () => {
  const base = BASE_URL?.replace(/\/+$/, '');
  for (const path of ['/', '/docs', '/docs/problems', '/docs/problems/invalid-parameter']) {
    for (const width of [390, 1280]) {
      for (const scheme of ['light', 'dark']) {
        it(`${path} is styled, quiet and accessible at ${width} px, ${scheme}`, async () => {
          await withPage({ width, scheme }, async (page, { heard, requests }) => {
            await page.goto(base + path, { waitUntil: 'networkidle' });
            assert.deepEqual(heard, []);
            assert.deepEqual(requests.filter((request) => new URL(request).origin !== base), []);
            assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, 'scrolls sideways');
            assert.ok(await page.evaluate(() => document.styleSheets[0].cssRules.length > 10), 'has no style');
            await shot(page, `page${path.replaceAll('/', '-')}-${width}-${scheme}`);
          });
          await withPage({ width, scheme, bypassCSP: true }, async (page) => {
            await page.goto(base + path);
            assert.deepEqual(await axe(page), []);
          });
        });
      }
    }
  }
});

describe('the panel of a running service', { skip: !LIVE && 'STATES_ONLY=1' }, () => {
  const base = BASE_URL?.replace(/\/+$/, '');
  const url = `${base}/widgets/panel`;

  before(() => assert.ok(BASE_URL, 'BASE_URL is not set: start `banggia serve --replay` and name its address'));

  const isFilled = async (frame) => {
    await frame.locator('.bgia-end').waitFor();
    const sections = await frame.locator('.bgia-sec').evaluateAll((sections) => sections.map((section) => ({
      title: section.querySelector('.bgia-t').textContent,
      figures: [...section.querySelectorAll('tbody td')].filter((cell) => /\d/.test(cell.textContent)).length,
    })));
    assert.deepEqual(sections.map(({ title }) => title), ['Giá vàng 9999', 'Tỷ giá', 'Lãi suất']);
    for (const { title, figures } of sections) assert.ok(figures > 0, `${title} is empty`);
    assert.ok((await frame.locator('main').innerText()).includes('Số liệu mẫu'), 'does not say that it is recorded');
  };

  /** A first fetch may still be on its way when the tests begin: reload until every section has figures. */
  before(async () => {
    for (let left = 100; left > 0; left -= 1) {
      const html = await (await fetch(url)).text();
      const tables = html.split('<tbody>').slice(1).map((table) => table.split('</tbody>')[0]);
      if (tables.length === 3 && tables.every((table) => /<td[^>]*translate/.test(table))) return;
      await new Promise((turn) => setTimeout(turn, 100));
    }
  });

  for (const width of [300, 390, 1280]) {
    for (const scheme of ['light', 'dark']) {
      it(`is filled, quiet and alone at ${width} px, ${scheme}`, () => withPage({ width, scheme }, async (page, { heard, requests, context }) => {
        const response = await page.goto(url);
        assert.equal(response.status(), 200);
        await isFilled(page);
        const { overflow, spill, captionLines, footWraps } = await measure(page);
        assert.deepEqual({ overflow, spill, captionLines, footWraps }, { overflow: 0, spill: [], captionLines: [1, 1, 1], footWraps: 0 });
        assert.deepEqual(heard, []);
        assert.deepEqual(requests.filter((request) => new URL(request).origin !== new URL(base).origin), []);
        assert.deepEqual(await context.cookies(), []);
        assert.equal(response.headers()['set-cookie'], undefined);
        await shot(page, `live-${width}-${scheme}`);
      }));
    }
  }

  it('has no accessibility violations', () => withPage({ bypassCSP: true }, async (page) => {
    for (const query of ['', '?theme=dark', '?lang=en', '?theme=transparent&lang=en']) {
      await page.goto(url + query);
      assert.deepEqual(await axe(page), [], query);
    }
  }));

  for (const [host, headers] of [
    ['under the strictest content policy', { 'Content-Security-Policy': `default-src 'none'; frame-src ${base}` }],
    ['of a cross-origin isolated page', { 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Opener-Policy': 'same-origin' }],
  ]) {
    it(`is shown in a frame ${host}`, async () => {
      const server = await serve((path) => path === '/' && {
        headers,
        body: `<!doctype html><html lang="vi"><title>Host</title><iframe title="Bảng Giá" src="${url}" width="300" height="940"></iframe>`,
      });
      try {
        await withPage({ width: 390 }, async (page, { heard, requests }) => {
          await page.goto(`${server.origin}/`);
          const frame = await (await page.locator('iframe').elementHandle()).contentFrame();
          await frame.waitForURL(url);
          await isFilled(frame);
          assert.deepEqual(heard, []);
          assert.deepEqual(requests.filter((request) => ![base, server.origin].some((origin) => request.startsWith(origin))), []);
          await shot(page, `live-host-${host.includes('policy') ? 'csp' : 'coep'}`);
        });
      } finally {
        await server.close();
      }
    });
  }
});
