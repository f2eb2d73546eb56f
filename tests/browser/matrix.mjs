// The ways in on somebody else's page: nothing moves (CLS 0, by what the browser itself reports), nobody is asked but the service,
// nothing is stored, nothing is said in the console; also when the line is slow, the service is down or scripts are off.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { axe, base, serve, shot, withBrowser, withPage } from './lib.mjs';
import { HOST_GROUND, LANGS, SCHEMES, THEMES, WIDGETS, pageOf, pairwise, serveStates, serviceIsFilled, stem, wordsOf, written } from './states.mjs';

const STATES = ['fresh', 'stale', 'expired', 'unavailable', 'held', 'recorded', 'borrowed', 'moving'];
/** How wide a widget stands on the host page in a window of so many pixels. */
const COLUMN = { 320: 300, 390: 390, 768: 680, 1280: 1280 };
/** High enough that whatever moves, moves in sight: what is outside counts for nothing. */
const HIGH = 1800;
const TEXT = 'Giá vàng trong nước sáng nay tăng nhẹ theo giá thế giới, tỷ giá ổn định. '.repeat(4);

withBrowser();

let states;
let host;
/** What the host serves; a test puts its page here under a name of its own. */
const hosted = new Map();
let number = 0;

before(async () => {
  states = await serveStates();
  host = await serve((path) => hosted.get(path));
});
after(() => Promise.all([states?.close(), host?.close()]));

/** A page of a newspaper under a strict policy that allows what the gallery says has to be allowed. */
function newspaper(content, { column = 300, lang = 'vi', ground = '#fff', service = states.origin, style = '' } = {}) {
  const path = `/${number += 1}`;
  hosted.set(path, {
    headers: {
      'Content-Security-Policy': `default-src 'none'; style-src 'unsafe-inline' ${service}; script-src ${service}; connect-src ${service}; frame-src ${service}; img-src ${service}`,
    },
    body: `<!doctype html>
<html lang="${lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Báo địa phương</title>
<style>body { margin: 0; background: ${ground}; color: ${ground === HOST_GROUND.dark ? '#fff' : '#000'} } main { width: ${column}px; margin: 0 auto } iframe { border: 0 } img { max-width: 100% } ${style}</style></head>
<body><main><h1>Tin kinh tế</h1><p id="before">${TEXT}</p>
<h2>Bảng giá</h2>
${content}
<p id="after">${TEXT}</p></main></body></html>`,
  });
  return host.origin + path;
}

/** The ways in, as the gallery prints them. `root` is where the service is, `height` what it reserves at `width`. */
const WAYS = {
  element: ({ widget, query, height, root, lang, theme, more = '' }) => ({
    code: `<script type="module" crossorigin src="${root}/embed/v1.js"></script>
<bang-gia widget="${widget}" lang="${lang}" theme="${theme}"${more} style="display:block;min-height:${height}px">
  <a href="${root}/widgets/${widget}?${query}">Bảng Giá</a>
</bang-gia>`,
    asked: [`${root}/embed/v1.js`, `${root}/fragments/${widget}.json?lang=${lang}&theme=${theme}`],
  }),
  frame: ({ widget, query, width, height, root }) => ({
    code: `<iframe src="${root}/widgets/${widget}?${query}" title="Bảng Giá" width="${width}" height="${height}" loading="lazy" referrerpolicy="no-referrer" frameborder="0"></iframe>`,
    asked: [`${root}/widgets/${widget}?${query}`],
  }),
  // The host's own server has put it in.
  fragment: ({ root, fragment }) => ({
    code: `<link rel="stylesheet" crossorigin href="${root}/embed/v1.css">\n${fragment}`,
    asked: [`${root}/embed/v1.css`],
  }),
  picture: ({ widget, query, root, svg }) => {
    const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg);
    const src = `${root}/images/${widget}.svg?${query}`;
    return {
      code: `<a href="${root}/widgets/${widget}?${query}"><img src="${src}" width="${width}" height="${height}" alt="Bảng Giá" referrerpolicy="no-referrer"></a>`,
      asked: [src],
    };
  },
};

/** The snippet of a cell. */
async function snippet(cell, more = {}) {
  const { way, lang, theme, state, width = 390 } = cell;
  const column = COLUMN[width];
  return WAYS[way]({
    ...cell, width: column, height: pageOf(cell).heights[column], root: `${states.origin}/${state}`, query: `lang=${lang}&amp;theme=${theme}`,
    fragment: await written(cell, '.fragment.html'), svg: await written(cell, '.svg'), ...more,
  });
}

/** A page whose layout shifts are on record, as the browser reports them; of its frames as well. */
const withHost = ({ width = 390, ...options }, test) => withPage({ ...options, viewport: { width, height: HIGH } }, async (page, seen) => {
  const shifts = [];
  const framed = [];
  const devtools = await seen.context.newCDPSession(page);
  const { frameTree } = await devtools.send('Page.getFrameTree');
  devtools.on('PerformanceTimeline.timelineEventAdded', ({ event }) =>
    (event.frameId === frameTree.frame.id ? shifts : framed).push(event.layoutShiftDetails.value));
  await devtools.send('PerformanceTimeline.enable', { eventTypes: ['layout-shift'] });
  return test(page, { ...seen, shifts, framed, devtools });
});

/** A shift is reported with the frame in which it was drawn; a picture taken later has been drawn later. */
const settle = async (page) => {
  for (let frame = 0; frame < 2; frame += 1) await page.screenshot({ clip: { x: 0, y: 0, width: 1, height: 1 } });
};

/** Waits until the widget is there, and says where its tree is. */
async function shown(page, way) {
  if (way === 'picture') return void await page.waitForFunction(() => document.querySelector('img').complete && document.querySelector('img').naturalWidth > 0);
  const root = way === 'frame' ? page.frameLocator('iframe') : page;
  // Playwright looks into open shadow roots.
  const widget = root.locator('.bgia');
  await widget.waitFor();
  return widget;
}

/** Nothing moved, nobody was asked but those, nothing is kept, nobody complained. */
async function isQuiet(page, { heard, requests, shifts, framed, context }, asked, within = 0) {
  await settle(page);
  assert.deepEqual(shifts, [], 'it moved');
  assert.ok(framed.reduce((sum, shift) => sum + shift, 0) <= within, `it moved in its frame: ${framed}`);
  assert.deepEqual(heard, []);
  assert.deepEqual(requests.filter((url) => url !== page.url()).map(decodeURIComponent).sort(), [...asked].sort());
  assert.deepEqual(await context.storageState({ indexedDB: true }), { cookies: [], origins: [] });
  for (const frame of page.frames()) assert.equal(await frame.evaluate(() => { try { return sessionStorage.length; } catch { return 0; } }), 0);
}

const decoded = (code) => code.replaceAll('&amp;', '&');

/** What WebPageTest calls slow 3G. */
const slow = async (devtools) => {
  await devtools.send('Network.enable');
  await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 400, downloadThroughput: 50_000, uploadThroughput: 50_000 });
};

describe('what is measured', { concurrency: 2 }, () => {
  const moves = (content) => withHost({}, async (page, { shifts, devtools }) => {
    await slow(devtools);
    await page.goto(newspaper(content), { waitUntil: 'commit' });
    await shown(page, content.includes('<img') ? 'picture' : 'element');
    await settle(page);
    assert.ok(shifts.length > 0 && shifts[0] > 0.01, 'a shift is not seen');
  });
  it('sees an element for which no room was kept', async () => {
    const { code } = await snippet({ way: 'element', widget: 'gold', state: 'fresh', lang: 'vi', theme: 'auto' });
    await moves(code.replace(/min-height:\d+px/, ''));
  });
  it('sees a picture for which no room was kept', async () => {
    const { code } = await snippet({ way: 'picture', widget: 'gold', state: 'fresh', lang: 'vi', theme: 'auto' });
    await moves(code.replace(/ width="\d+" height="\d+"/, ''));
  });
});

describe('every way in, in every state', { concurrency: 2 }, () => {
  const grounds = {
    light: { light: 'rgb(255, 255, 255)', dark: 'rgb(255, 255, 255)' },
    dark: { light: 'rgb(23, 22, 19)', dark: 'rgb(23, 22, 19)' },
    auto: { light: 'rgb(255, 255, 255)', dark: 'rgb(23, 22, 19)' },
    transparent: { light: 'rgba(0, 0, 0, 0)', dark: 'rgba(0, 0, 0, 0)' },
  };
  const cells = pairwise(
    { widget: WIDGETS, state: STATES, way: Object.keys(WAYS), lang: LANGS, theme: THEMES, width: Object.keys(COLUMN).map(Number), scheme: SCHEMES },
    // A fixed theme looks like the automatic one where its scheme is preferred.
    (cell) => pageOf(cell) !== undefined && cell.theme !== cell.scheme, 55,
  );
  for (const cell of cells) {
    const { way, widget, state, lang, theme, width, scheme } = cell;
    it(`${way} of ${stem(cell)} at ${width} px where ${scheme} is preferred`, () => withHost({ width, scheme }, async (page, seen) => {
      const { code, asked } = await snippet(cell);
      await page.goto(newspaper(code, { column: COLUMN[width], lang, ground: HOST_GROUND[scheme] }));
      const tree = await shown(page, way);
      // A tape that moves moves: of its frame the browser sometimes reports the beginning, which nobody sees.
      await isQuiet(page, seen, asked.map(decoded), state === 'moving' ? 0.005 : 0);
      await shot(page, `host-${way}-${stem(cell)}-${width}-${scheme}`);
      if (!tree) return;
      const promised = pageOf(cell).heights[COLUMN[width]];
      const { height, words, ground } = await tree.evaluate((tree) => ({
        height: tree.getBoundingClientRect().height, words: tree.textContent.replace(/\s+/g, ''), ground: getComputedStyle(tree).backgroundColor,
      }));
      assert.ok(promised - height >= -0.01 && promised - height <= 6, `${promised} px are promised, ${height} px are needed`);
      assert.equal(ground, grounds[theme][scheme]);
      assert.equal(words, await wordsOf(page, await written(cell, '.fragment.html')), 'other words than in the other ways');
    }));
  }
});

describe('every way in, as the gallery of a running service prints it', { concurrency: 2 }, () => {
  before(serviceIsFilled);

  /** The snippets of the gallery's page for a choice, by their order: element, iframe, include, picture, oEmbed, AMP. */
  const printed = async (page, query) => {
    const html = await (await fetch(`${base}/?${query}`)).text();
    return page.evaluate((html) => [...new DOMParser().parseFromString(html, 'text/html').querySelectorAll('pre code')].map((code) => code.textContent), html);
  };
  const described = async (address) => {
    const [, oembed] = /type="application\/json\+oembed" href="([^"]*)"/.exec(await (await fetch(address)).text());
    return (await fetch(oembed.replaceAll('&#38;', '&').replaceAll('&amp;', '&'))).json();
  };
  const order = ['element', 'frame', 'fragment', 'picture', 'oembed'];
  const cells = pairwise({ way: order, widget: WIDGETS, lang: LANGS, theme: ['auto', 'light', 'dark'], column: [300, 390, 680], scheme: SCHEMES }, () => true, 36);
  for (const cell of cells) {
    const { way, widget, lang, theme, column, scheme } = cell;
    it(`${way} of ${widget} (${lang}, ${theme}) ${column} px wide where ${scheme} is preferred`, () => withHost({ width: column + 24, scheme }, async (page, seen) => {
      let code = (await printed(page, `widget=${widget}&lang=${lang}&theme=${theme}&width=${column}`))[order.indexOf(way)];
      if (way === 'oembed') {
        const { type, html, width, height } = await described(code);
        assert.equal(type, 'rich');
        assert.ok(html.includes(`width="${width}" height="${height}"`));
        code = html;
      }
      if (way === 'fragment') {
        const [, fragment] = /file_get_contents\('([^']*)'\)/.exec(code);
        code = code.split('\n')[0] + await (await fetch(fragment)).text();
      }
      await page.goto(newspaper(code, { column, lang, ground: HOST_GROUND[scheme], service: base }));
      const tree = await shown(page, way === 'oembed' ? 'frame' : way);
      const asked = seen.requests.filter((url) => url !== page.url());
      assert.equal(asked.length, way === 'element' ? 2 : 1, asked.join(' '));
      assert.deepEqual(asked.filter((url) => !url.startsWith(`${base}/`)), []);
      await isQuiet(page, seen, asked.map(decodeURIComponent));
      await shot(page, `printed-${way}-${widget}-${lang}-${theme}-${column}-${scheme}`);
      if (!tree) {
        const { natural, drawn } = await page.locator('img').evaluate((img) => ({ natural: img.naturalWidth / img.naturalHeight, drawn: img.width / img.height }));
        assert.ok(column < 680 && widget === 'ticker' || Math.abs(natural - drawn) < 0.02, `drawn ${drawn}, it is ${natural}`);
        return;
      }
      const height = await tree.evaluate((tree) => tree.getBoundingClientRect().height);
      const room = way === 'fragment' ? height : await page.locator('iframe, bang-gia').evaluate((outer) => outer.clientHeight);
      assert.ok(room - height >= -0.01 && room - height <= 6, `${room} px of room, ${height} px are needed`);
    }));
  }
});

describe('on a slow line', { concurrency: 4 }, () => {
  for (const [way, widget] of [['element', 'panel'], ['frame', 'gold'], ['fragment', 'fx'], ['picture', 'deposits']]) {
    it(`${way} has its room from the first paint on`, () => withHost({}, async (page, seen) => {
      await slow(seen.devtools);
      const { code, asked } = await snippet({ way, widget, state: 'fresh', lang: 'vi', theme: 'auto' });
      await page.goto(newspaper(code, { column: 390 }), { waitUntil: 'domcontentloaded' });
      await page.screenshot({ clip: { x: 0, y: 0, width: 1, height: 1 } });
      const top = () => page.locator('#after').evaluate((after) => after.getBoundingClientRect().top);
      const first = await top();
      await shown(page, way);
      assert.equal(await top(), first);
      // Chromium paints a page while it arrives; then a column of the frame's own table may grow by some pixels once.
      await isQuiet(page, seen, asked.map(decoded), 0.005);
    }));
  }
});

describe('while the service is down', { concurrency: 2 }, () => {
  let nobody;
  before(async () => {
    const closed = await serve(() => undefined);
    nobody = closed.origin;
    await closed.close();
  });

  for (const [trouble, root] of [
    ['it answers 503', () => `${states.origin}/busy`], ['it closes the connection', () => `${states.origin}/gone`], ['nobody is there', () => nobody],
  ]) {
    for (const [way, widget] of [['element', 'gold'], ['frame', 'fx'], ['picture', 'panel']]) {
      it(`${way} keeps its room, and the page its peace, when ${trouble}`, () => withHost({}, async (page, { heard, requests, shifts, context }) => {
        const { code } = await snippet({ way, widget, state: 'fresh', lang: 'vi', theme: 'auto' }, { root: root() });
        const failed = Promise.race([page.waitForEvent('requestfailed'), page.waitForEvent('response', (response) => response.status() === 503)]);
        await page.goto(newspaper(code, { column: 390, service: new URL(root()).origin, style: 'img { display: block }' }));
        await failed;
        await settle(page);
        assert.deepEqual(shifts, []);
        // The browser says so itself; nobody else does.
        assert.deepEqual(heard.filter((line) => !/^error: Failed to load resource|^failed: /.test(line)), []);
        assert.ok(requests.some((url) => url.includes(way === 'element' && trouble !== 'nobody is there' ? '/fragments/' : root())));
        assert.deepEqual(await context.storageState({ indexedDB: true }), { cookies: [], origins: [] });
        const box = await page.locator(way === 'picture' ? 'img' : way === 'frame' ? 'iframe' : 'bang-gia').boundingBox();
        const [, height] = /height[:=]"?(\d+)/.exec(code);
        assert.equal(box.height, Number(height));
        if (way === 'element') assert.ok(await page.getByRole('link', { name: 'Bảng Giá' }).isVisible(), 'the link is gone');
        if (way === 'picture') assert.equal(await page.getByRole('img', { name: 'Bảng Giá' }).count(), 1);
      }));
    }
  }
});

describe('without scripts', { concurrency: 2 }, () => {
  for (const [way, widget] of [['element', 'fx'], ['frame', 'panel'], ['fragment', 'gold'], ['picture', 'ticker']]) {
    it(`${way} is ${way === 'element' ? 'a link with its room' : 'complete'}`, () => withHost({ width: 768, javaScriptEnabled: false }, async (page, { heard, requests, shifts }) => {
      const cell = { way, widget, state: 'stale', lang: 'vi', theme: 'auto', width: 768 };
      const { code, asked } = await snippet(cell);
      await page.goto(newspaper(code, { column: COLUMN[768] }));
      if (way === 'element') {
        assert.ok(await page.getByRole('link', { name: 'Bảng Giá' }).isVisible());
        assert.equal((await page.locator('bang-gia').boundingBox()).height, pageOf(cell).heights[680]);
      } else if (way === 'picture') {
        assert.equal(await page.locator('img').evaluate((img) => img.complete && img.naturalWidth), 680);
      } else {
        const tree = await shown(page, way);
        assert.equal(await tree.evaluate((tree) => tree.textContent.replace(/\s+/g, '')), await wordsOf(page, await written(cell, '.fragment.html')));
      }
      await settle(page);
      assert.deepEqual(shifts, []);
      assert.deepEqual(heard, []);
      assert.deepEqual(requests.filter((url) => url !== page.url()), way === 'element' ? [] : asked.map(decoded));
    }));
  }
});

describe('a host page with six widgets', () => {
  const mixes = {
    'frames and elements': ['frame gold', 'element panel', 'frame ticker', 'element fx', 'element deposits', 'frame deposits'],
    'elements': ['element ticker', 'element panel', 'element gold', 'element fx', 'element deposits', 'element panel'],
    'includes and pictures': ['fragment ticker', 'fragment gold', 'picture fx', 'fragment deposits', 'fragment fx', 'picture panel'],
  };
  for (const [name, mix] of Object.entries(mixes)) {
    for (const [lang, theme, width, scheme] of [['vi', 'auto', 390, 'dark'], ['en', 'transparent', 1280, 'light']]) {
      it(`(${name}) stands still, is alone and accessible at ${width} px: ${lang}, ${theme} where ${scheme} is preferred`, () =>
        withHost({ width, scheme, viewport: undefined }, async (page, seen) => {
          await page.setViewportSize({ width, height: 6000 });
          const parts = await Promise.all(mix.map(async (part, at) => {
            const [way, widget] = part.split(' ');
            const cell = { way, widget, lang, theme, width, state: 'fresh' };
            const { code, asked } = await snippet(cell);
            // No two frames or links may have one name and different ends.
            return { way, code: `<p>${at + 1}. ${widget}</p>\n${code}`.replaceAll('Bảng Giá', `Bảng Giá: ${widget}`), asked };
          }));
          await page.goto(newspaper(parts.map(({ code }) => code).join('\n'), { column: COLUMN[width], lang, ground: HOST_GROUND[scheme] }));
          const trees = parts.filter(({ way }) => way === 'element' || way === 'fragment').length;
          await page.waitForFunction((trees) => [...document.querySelectorAll('.bgia, bang-gia')].filter((one) =>
            one.localName !== 'bang-gia' || one.shadowRoot?.querySelector('.bgia')).length === trees, trees);
          await page.waitForLoadState('networkidle');
          for (const frame of page.frames().slice(1)) await frame.locator('.bgia').waitFor();
          // However many show it: the script, the style and each address are asked for once.
          await isQuiet(page, seen, new Set(parts.flatMap(({ asked }) => asked).map(decoded)));
          await shot(page, `six-${name.replaceAll(' ', '-')}-${lang}-${width}-${scheme}`);
          // Of a transparent frame axe cannot know the ground.
          if (theme === 'transparent') {
            for (const frame of page.frames().slice(1)) {
              await frame.evaluate((ground) => document.documentElement.style.setProperty('background', ground, 'important'), HOST_GROUND[scheme]);
            }
          }
          assert.deepEqual(await axe(page), []);
        }));
    }
  }
});
