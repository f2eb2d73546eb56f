// What readers get, in a real browser: every widget's pages in every state, and the pages of a running service. Waits for
// conditions, never for times.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FULL, STATES_DIR, axe, base, serve, shot, withBrowser, withPage } from './lib.mjs';
import { HOST_GROUND, LANGS, SCHEMES, THEMES, WIDGETS, pageOf, pages, pairwise, serveStates, serviceIsFilled, stem } from './states.mjs';

/** What a widget can be in without its height changing. The other names of pages are options. */
const STATES = ['fresh', 'stale', 'expired', 'unavailable', 'held', 'recorded', 'borrowed'];
const WIDTHS = [300, 320, 390, 680, 768, 1024, 1280];
const ALL = [...new Set(pages.map(({ state }) => state))];
const written = (cell) => pageOf(cell) !== undefined;
const fresh = (widget, more) => ({ widget, state: 'fresh', lang: 'vi', theme: 'auto', ...more });

withBrowser();

/** Geometry that must hold on every page, measured in the page. */
const measure = (page) => page.evaluate(() => {
  const box = (element) => element.getBoundingClientRect();
  const root = document.documentElement;
  const lines = (caption) => (box(caption.querySelector('.bgia-u')).top < box(caption.querySelector('.bgia-t')).bottom
    && caption.querySelector('.bgia-u').getClientRects().length === 1 ? 1 : 2);
  // Tables of many banks and the tape scroll in themselves.
  const spill = [...document.querySelectorAll('.bgia *:not(.bgia-vh)')].filter((element) =>
    !element.closest('.bgia-scroll, .bgia-tape, .bgia-vh, svg') && box(element).width > 0
    && (box(element).right > root.clientWidth + 0.5 || box(element).left < -0.5)).map((element) => element.outerHTML.slice(0, 80));
  const band = document.querySelector('.bgia-rec');
  const style = band && getComputedStyle(band);
  return {
    overflow: root.scrollWidth - root.clientWidth,
    height: box(document.querySelector('.bgia')).height,
    document: root.scrollHeight,
    captionLines: Math.max(1, ...[...document.querySelectorAll('.bgia-cap')].map(lines)),
    footWraps: [...document.querySelectorAll('.bgia-foot li')].filter((li) => {
      const when = li.querySelector('.bgia-when');
      return when && (when.getClientRects().length !== 1 || box(when).right > box(li).right + 0.5);
    }).length,
    spill,
    band: band ? box(band).height + parseFloat(style.marginTop) + parseFloat(style.marginBottom) : 0,
  };
});

describe('pages in every state', { concurrency: 2 }, () => {
  let states;
  const address = ({ widget, state, lang, theme }) => `${states.origin}/${state}/widgets/${widget}?lang=${lang}&theme=${theme}`;

  before(async () => { states = await serveStates(); });
  after(() => states?.close());

  const drawn = pairwise({ widget: WIDGETS, state: ALL, lang: LANGS, theme: THEMES }, written);
  for (const widget of WIDGETS) {
    it(`${widget}: as high as it says in every state, and nothing stands outside`, () => withPage({}, async (page, { heard, requests }) => {
      const known = new Map();
      const open = async (cell, width) => {
        if (!page.url().startsWith(address(cell))) await page.goto(address(cell));
        await page.setViewportSize({ width, height: 900 });
        return measure(page);
      };
      const freshHeight = async (cell, width) => {
        const key = `${cell.lang} ${cell.theme} ${width}`;
        if (!known.has(key)) known.set(key, (await open({ ...cell, state: 'fresh' }, width)).height);
        return known.get(key);
      };
      for (const cell of drawn.filter((cell) => cell.widget === widget)) {
        const { heights } = pageOf(cell);
        const measured = [];
        for (const width of WIDTHS) measured.push([width, await open(cell, width)]);
        for (const [width, { overflow, spill, height, document, captionLines, footWraps, band }] of measured) {
          const where = `${stem(cell)} at ${width} px`;
          assert.equal(overflow, 0, `${where} scrolls sideways`);
          assert.deepEqual(spill, [], `${where}: parts stand outside`);
          assert.ok(Math.abs(Math.max(document, 900) - Math.max(height, 900)) < 1, `${where}: ${document} and ${height} px high`);
          assert.equal(captionLines, 1, `${where}: a caption takes more than one line`);
          assert.equal(footWraps, 0, `${where}: a foot line does not fit`);
          // Of three columns and more the browser breaks the heads where it likes.
          const [least, most] = Number(/^columns(\d)/.exec(cell.state)?.[1] ?? 1) > 2 ? [-20, 20] : [0, 6];
          const spare = heights[width] - height;
          assert.ok(spare > least - 0.01 && spare <= most, `${where}: ${heights[width]} px are promised, ${height} px are needed`);
          if (cell.state === 'recorded') {
            assert.ok(Math.abs(band - (cell.theme === 'transparent' ? 38 : 30)) <= 1, `${where}: the band adds ${band} px`);
          }
        }
        if (!STATES.includes(cell.state)) continue;
        for (const [width, { height, band }] of measured) {
          const usual = await freshHeight(cell, width);
          assert.ok(Math.abs(height - band - usual) < 0.5, `${stem(cell)} at ${width} px: ${height} px, fresh ${usual}`);
        }
      }
      assert.deepEqual(heard, []);
      assert.deepEqual(requests.filter((url) => !url.startsWith(states.origin)), []);
    }));
  }

  const looked = pairwise(
    { widget: WIDGETS, state: ALL, lang: LANGS, theme: THEMES, width: [300, 390, 680, 1280], scheme: SCHEMES },
    // A fixed theme looks like the automatic one where its scheme is preferred: look where it is not.
    (cell) => written(cell) && cell.theme !== cell.scheme,
  );
  for (const widget of WIDGETS) {
    it(`${widget}: no accessibility violations`, async () => {
      for (const scheme of SCHEMES) {
        await withPage({ scheme, bypassCSP: true }, async (page) => {
          for (const cell of looked.filter((cell) => cell.widget === widget && cell.scheme === scheme)) {
            await page.setViewportSize({ width: cell.width, height: 900 });
            await page.goto(address(cell));
            // A transparent page stands on its host's ground, which axe cannot know.
            if (cell.theme === 'transparent') await page.addStyleTag({ content: `html { background: ${HOST_GROUND[scheme]} !important }` });
            await shot(page, `${stem(cell)}-${cell.width}-${scheme}`);
            assert.deepEqual(await axe(page), [], `${stem(cell)} at ${cell.width} px where ${scheme} is preferred`);
          }
        });
      }
    });
  }

  it('have ink and ground of their theme', async () => {
    const expected = {
      light: { light: 'rgb(255, 255, 255)', dark: 'rgb(255, 255, 255)' },
      dark: { light: 'rgb(23, 22, 19)', dark: 'rgb(23, 22, 19)' },
      auto: { light: 'rgb(255, 255, 255)', dark: 'rgb(23, 22, 19)' },
      transparent: { light: 'rgba(0, 0, 0, 0)', dark: 'rgba(0, 0, 0, 0)' },
    };
    for (const scheme of SCHEMES) {
      await withPage({ scheme }, async (page) => {
        for (const [widget, theme] of WIDGETS.flatMap((widget) => THEMES.map((theme) => [widget, theme]))) {
          await page.goto(address(fresh(widget, { theme })));
          const grounds = await page.evaluate(() => ['html', '.bgia'].map((part) =>
            getComputedStyle(document.querySelector(part)).backgroundColor));
          assert.deepEqual(grounds, Array(2).fill(expected[theme][scheme]), `${widget}, ${theme} where ${scheme} is preferred`);
        }
      });
    }
  });

  it('are complete without JavaScript', () => withPage({ width: 680, javaScriptEnabled: false }, async (page) => {
    const words = {
      panel: { vi: ['Giá vàng 9999', 'Tỷ giá', 'Lãi suất'], en: ['Gold 9999', 'Exchange rates', 'Deposit rates'], figures: /139[,.]50[^]*25[,.]880[^]*2[,.]10/ },
      gold: { vi: ['Giá vàng', 'Vàng miếng SJC', '30 ngày'], en: ['Gold', 'SJC bar', '30 days'], figures: /139[,.]50[^]*142[,.]50/ },
      fx: { vi: ['Tỷ giá', 'chuyển khoản', 'Đô la Mỹ'], en: ['Exchange rates', 'transfer', 'US dollar'], figures: /25[,.]850[^]*26[,.]260/ },
      deposits: { vi: ['Lãi suất tiền gửi', 'Kỳ hạn'], en: ['Deposit rates', 'Term'], figures: /2[,.]10[^]*6[,.]80/ },
      chart: { vi: ['giá tham khảo'], en: ['reference only'], figures: /\d[.,]\d/ },
      ticker: { vi: ['Vàng SJC', 'mua', 'Giá tham khảo'], en: ['SJC gold', 'buy', 'For reference only'], figures: /139[,.]50[^]*26[,.]260/ },
    };
    const said = {
      stale: { vi: 'Dữ liệu cũ', en: 'Old data' }, expired: { vi: 'Quá hạn', en: 'Expired' }, unavailable: { vi: 'Chưa có số liệu', en: 'No data yet' },
      held: { vi: 'chờ kiểm tra', en: 'under review' }, recorded: { vi: 'Số liệu mẫu', en: 'Recorded sample' }, borrowed: { vi: 'qua', en: 'via' },
    };
    for (const cell of pairwise({ widget: WIDGETS, state: ALL, lang: LANGS }, (cell) => written({ ...cell, theme: 'auto' }))) {
      const { widget, state, lang } = cell;
      await page.goto(address({ ...cell, theme: 'auto' }));
      const text = await page.locator('main').innerText();
      // Its title belongs to those who listen where it is not shown.
      for (const word of words[widget][lang].slice(state === 'untitled' || state.startsWith('columns') ? 1 : 0)) {
        if (state !== 'compact' && !state.startsWith('columns')) assert.ok(text.includes(word), `${widget} ${state}: no ${word} in ${text}`);
      }
      // No rate of the sample is held, and none is borrowed from another bank's table.
      if (said[state] && !['held deposits', 'borrowed fx'].includes(`${state} ${widget}`)) assert.ok(text.includes(said[state][lang]), `${widget} ${state}: no ${said[state][lang]}`);
      if (!['expired', 'unavailable'].includes(state) && !state.startsWith('columns')) assert.match(text, words[widget].figures, `${widget} ${state}`);
      assert.ok(await page.locator('.bgia-foot a[href^="https://"]').count() > 0, `${widget} ${state} names no source`);
      assert.ok(/tham khảo|reference/i.test(text), `${widget} ${state} does not say that it is for reference`);
    }
  }));

  for (const [mode, emulate] of [['forced colours', { forcedColors: 'active' }], ['print', { media: 'print' }]]) {
    it(`lose no text in ${mode}`, () => withPage({ width: 300 }, async (page) => {
      for (const cell of drawn.filter(({ theme }) => theme !== 'light')) {
        await page.emulateMedia({ media: 'screen', forcedColors: 'none' });
        await page.goto(address(cell));
        const read = () => page.evaluate(() => {
          const seen = [];
          const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            // The second copy of a moving tape, and a menu: on paper it leads nowhere.
            if (node.parentElement.closest('.bgia-run[aria-hidden], .bgia-ranges')) continue;
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
        assert.deepEqual(await read(), before, stem(cell));
        if (mode === 'print') {
          const ink = await page.locator('.bgia').evaluate((widget) => [getComputedStyle(widget).color, getComputedStyle(document.documentElement).backgroundColor]);
          assert.deepEqual(ink, ['rgb(0, 0, 0)', 'rgba(0, 0, 0, 0)'], `${stem(cell)} is black on paper`);
        }
        const { overflow } = await measure(page);
        assert.equal(overflow, 0, `${stem(cell)} scrolls sideways`);
        // Paper cannot be scrolled.
        const cut = mode === 'print' ? await page.locator('.bgia-run:not([aria-hidden]) li').evaluateAll((items) => items.filter((item) =>
          item.scrollWidth > item.clientWidth || item.getBoundingClientRect().right > innerWidth).map((item) => item.textContent)) : [];
        assert.deepEqual(cut, [], `${stem(cell)} is cut`);
        await shot(page, `${stem(cell)}-${mode.replace(' ', '-')}`);
      }
    }));
  }

  /** Names of what Tab comes to, with the outline drawn around it. */
  const tabThrough = async (page, stops) => {
    const names = [];
    for (let stop = 0; stop < stops; stop += 1) {
      await page.keyboard.press('Tab');
      names.push(await page.evaluate(() => {
        const at = document.activeElement;
        // A control that only those who listen have is shown by its label.
        const { outlineStyle, outlineWidth } = getComputedStyle(at.closest('label') ?? at);
        return `${at.ariaLabel ?? at.textContent} ${outlineStyle} ${outlineWidth}`;
      }));
    }
    return names;
  };

  it('let the eye of the keyboard through in the order of reading', () => withPage({}, async (page) => {
    await page.goto(address(fresh('panel', { state: 'borrowed' })));
    assert.deepEqual(await tabThrough(page, 9), ['DOJI', 'vang.today', 'TienPhongBank', 'BIDV', 'BIDV', 'OCB', 'OCB', 'CafeF', 'Bảng Giá']
      .map((text) => `${text} solid 2px`));
    for (const widget of WIDGETS) {
      await page.goto(address(fresh(widget)));
      const order = await page.locator('.bgia :is(a, [tabindex], input)').evaluateAll((stops) => stops.map((stop) => stop.ariaLabel ?? stop.textContent));
      assert.ok(order.length > 0, widget);
      assert.deepEqual(await tabThrough(page, order.length), order.map((name) => `${name} solid 2px`), widget);
    }
  }));

  describe('the tape', () => {
    const running = (page) => page.evaluate(() => document.getAnimations().map(({ playState, animationName }) => `${animationName} ${playState}`));
    const moving = fresh('ticker', { state: 'moving' });

    it('stands still unless it is asked to move', () => withPage({ width: 680 }, async (page) => {
      await page.goto(address(fresh('ticker')));
      assert.deepEqual(await running(page), []);
      assert.equal(await page.locator('.bgia-stop').count(), 0);
      const { scrolls, before, after } = await page.locator('.bgia-tape').evaluate((tape) => {
        const before = tape.scrollLeft;
        tape.scrollLeft = 100;
        return { scrolls: tape.scrollWidth > tape.clientWidth, before, after: tape.scrollLeft };
      });
      assert.deepEqual({ scrolls, before, after }, { scrolls: true, before: 0, after: 100 });
    }));

    it('has its stop first in the order of the keyboard, and it stops', () => withPage({ width: 680 }, async (page) => {
      await page.goto(address(moving));
      assert.deepEqual(await running(page), Array(2).fill('bgia-tape running'));
      assert.deepEqual(await tabThrough(page, 1), ['Dừng chạy chữ solid 2px']);
      await page.keyboard.press('Space');
      await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState === 'paused'));
      await page.keyboard.press('Space');
      await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState === 'running'));
    }));

    it('waits while the eye or the keyboard is on it', () => withPage({ width: 680 }, async (page) => {
      await page.goto(address(moving));
      const paused = () => page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState === 'paused'));
      await page.locator('.bgia-tape').hover();
      await paused();
      await page.mouse.move(0, 800);
      await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState === 'running'));
      await page.locator('.bgia-tape').focus();
      await paused();
    }));

    it('never moves where readers asked for less motion', () => withPage({ width: 680, reducedMotion: 'reduce' }, async (page) => {
      await page.goto(address(moving));
      assert.deepEqual(await running(page), []);
      assert.deepEqual(await page.locator('.bgia-run').evaluateAll((runs) => runs.map((run) => run.checkVisibility())), [true, false]);
    }));
  });

  it('print numbers and dates as Intl does', () => withPage({}, async (page) => {
    const texts = JSON.parse(await readFile(join(STATES_DIR, 'text.json'), 'utf8'));
    for (const lang of ['vi', 'en']) assert.ok(texts.filter((text) => text.lang === lang).length >= 1000, lang);
    await page.goto(address(fresh('panel')));
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

describe('the pages of a running service', () => {
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
            const [name, title] = await page.evaluate(() => ['header strong', 'h1'].map((what) => document.querySelector(what).getBoundingClientRect().left));
            assert.equal(title, name, 'its heading does not begin below its name');
            await shot(page, `page${path.replaceAll('/', '-')}-${width}-${scheme}`);
          });
          await withPage({ width, scheme, bypassCSP: true }, async (page) => {
            await page.goto(base + path);
            // A frame that waits to be scrolled to is an empty page, and axe says so.
            await page.evaluate(() => { for (const frame of document.querySelectorAll('iframe')) frame.loading = 'eager'; });
            await page.waitForLoadState('networkidle');
            assert.deepEqual(await axe(page), []);
          });
        });
      }
    }
  }
});

describe('the widgets of a running service', () => {
  const url = `${base}/widgets/panel`;

  before(serviceIsFilled);

  const isFilled = async (frame, lang = 'vi') => {
    await frame.locator('.bgia-foot').first().waitFor();
    const parts = await frame.locator('.bgia-sec').evaluateAll((parts) => parts.map((part) =>
      [...part.querySelectorAll('tbody td, .bgia-run li')].filter((cell) => /\d/.test(cell.textContent)).length));
    assert.ok(parts.length > 0 && parts.every((figures) => figures > 0), `a part is empty: ${parts}`);
    const text = await frame.locator('main').innerText();
    assert.ok(text.includes({ vi: 'Số liệu mẫu', en: 'Recorded sample' }[lang]), 'does not say that it is recorded');
    // The clock of the tests is not the one of the recordings: pages must not compare them.
    assert.doesNotMatch(text, /Dữ liệu cũ|Quá hạn|Old data|Expired/);
    return parts.length;
  };

  for (const { widget, lang, width, scheme } of pairwise({ widget: WIDGETS, lang: LANGS, width: [300, 390, 1280], scheme: SCHEMES })) {
    it(`${widget} (${lang}) is filled, quiet and alone at ${width} px, ${scheme}`, () => withPage({ width, scheme }, async (page, { heard, requests, context }) => {
      const address = `${base}/widgets/${widget}${lang === 'en' ? '?lang=en' : ''}`;
      const response = await page.goto(address);
      assert.equal(response.status(), 200);
      assert.equal(await isFilled(page, lang), widget === 'panel' ? 3 : 1);
      const { overflow, spill, captionLines, footWraps } = await measure(page);
      assert.deepEqual({ overflow, spill, captionLines, footWraps }, { overflow: 0, spill: [], captionLines: 1, footWraps: 0 });
      assert.deepEqual(heard, []);
      assert.deepEqual(requests, [address]);
      assert.deepEqual(await context.cookies(), []);
      assert.equal(response.headers()['set-cookie'], undefined);
      await shot(page, `live-${widget}-${lang}-${width}-${scheme}`);
    }));
  }

  it('are as high as the gallery says, whatever is chosen', () => withPage({}, async (page) => {
    const wrong = [];
    for (const choice of [
      'panel', 'panel&rows=2', 'panel&compact=1&transparent=1&lang=en', 'gold', 'gold&rows=1', 'gold&compact=1', 'gold&unit=chi&lang=en&title=0',
      'fx&fx=bidv', 'fx&rows=2&compact=1', 'fx&providers=bidv,vietcombank', 'fx&providers=bidv,vietcombank&lang=en', 'deposits&terms=6', 'deposits&terms=1,3,6,12&lang=en',
      'deposits&channel=online', 'ticker', 'ticker&rows=1&motion=1',
    ]) {
      for (const width of [300, 390, 680]) {
        const html = await (await fetch(`${base}/?width=${width}&widget=${choice}`)).text();
        const [, src, wide, high] = /class="stage"><iframe src="([^"]*)"[^>]* width="(\d+)" height="(\d+)"/.exec(html);
        assert.equal(Number(wide), width);
        await page.setViewportSize({ width, height: 900 });
        await page.goto(`${base}/${src.replaceAll('&#38;', '&').replaceAll('&amp;', '&')}`);
        const { height, overflow, captionLines, spill } = await measure(page);
        const spare = Number(high) - height;
        if (overflow || spill.length || captionLines > 1 || spare < -0.01 || spare > 6) wrong.push(`${choice} at ${width} px: ${high} px are promised, ${height} px are needed`);
      }
    }
    assert.deepEqual(wrong, []);
  }));

  it('have no accessibility violations', () => withPage({ bypassCSP: true }, async (page) => {
    const queries = ['?theme=dark', '?lang=en&compact=1', '?theme=light&transparent=1', '?accent=c00000&title=0&link=0', '?rows=3&motion=1'];
    for (const { widget, query } of pairwise({ widget: WIDGETS, query: queries }, ({ widget, query }) =>
      FULL || (WIDGETS.indexOf(widget) + queries.indexOf(query)) % 3 === 0)) {
      await page.goto(`${base}/widgets/${widget}${query}`);
      assert.deepEqual(await axe(page), [], widget + query);
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
