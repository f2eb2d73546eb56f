// Pages of others: the widgets are complete and quiet under the strictest policy, in isolation, in a sandbox, in WordPress,
// among hostile scripts and styles; they withstand attackers, refresh themselves politely and leave nothing behind.
// Environment: lib.mjs, hosting.mjs.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { base, serve, withBrowser, withPage } from './lib.mjs';
import {
  KINDS, RECEIVER, assertElements, assertFits, assertFrames, assertPictures, assertQuiet, each, element, iframe, look, picture,
  script, startService, until, withFolder, withHost, wordpress,
} from './hosting.mjs';

withBrowser();

/** The pinned script as the gallery prints it. */
async function pinned() {
  const gallery = await (await fetch(`${base}/`)).text();
  const [, src, integrity] = /(http[^<\s]*\/embed\/[^<\s]*\.js)<\/code><br><code>integrity=(?:&#34;|")(sha384-[^&"]*)/.exec(gallery);
  return { src, integrity: integrity.replaceAll('&#43;', '+').replaceAll('&#47;', '/').replaceAll('&#61;', '=') };
}

/** Records in the page, from its first line on, every message with whom it is from. */
const LISTEN = `<script>
  const messages = [];
  addEventListener('message', ({ data, origin, source }) => {
    const frame = [...document.querySelectorAll('iframe')].findIndex((frame) => frame.contentWindow === source);
    messages.push({ data, origin, frame });
  });
</script>`;

describe('host pages', () => {
  it('under the strictest policy with Trusted Types show the pinned element, frames and pictures', async () => {
    const { src, integrity } = await pinned();
    const policy = `default-src 'none'; script-src ${base}; connect-src ${base}; frame-src ${base}; style-src ${base}; img-src ${base}; require-trusted-types-for 'script'; trusted-types 'none'`;
    // The policy forbids style attributes as well, so the page reserves the height without one.
    const plain = (kind) => element(kind).replace(/ style="[^"]*"/, '');
    await withHost({
      headers: { 'Content-Security-Policy': policy },
      body: script(`src="${src}" integrity="${integrity}"`) + each(plain) + each(iframe) + each(picture),
    }, async (page, record) => {
      await page.goto(record.origin);
      await assertElements(page);
      await assertFrames(page);
      await assertPictures(page);
      await assertQuiet(page, record);
    });
  });

  it('refuse a script that is not the one they pinned', async () => {
    const { src } = await pinned();
    await withHost({ body: script(`src="${src}" integrity="sha384-${'A'.repeat(64)}"`) + element('gold') }, async (page, record) => {
      await page.goto(record.origin);
      assert.equal(await look(page, () => document.querySelector('bang-gia').shadowRoot), null);
      assert.equal(await look(page, () => document.querySelector('bang-gia a').checkVisibility()), true, 'the link inside stays');
    });
  });

  it('that are isolated show elements, frames and pictures', () => withHost({
    headers: { 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Opener-Policy': 'same-origin' },
    body: script() + each(element) + each(iframe) + each(picture),
  }, async (page, record) => {
    await page.goto(record.origin);
    assert.equal(await page.evaluate(() => globalThis.crossOriginIsolated), true);
    await assertElements(page);
    await assertFrames(page);
    await assertPictures(page);
    await assertQuiet(page, record);
  }));

  it('that sandbox frames are told their height by the frame itself, from an opaque origin', (test) => withHost({
    body: LISTEN + each(iframe, 'sandbox="allow-scripts"'),
  }, async (page, record) => {
    await page.goto(record.origin);
    await assertFrames(page);
    // The last word of each counts: a frame may be laid out before it has its width.
    const told = await until(async () => {
      const told = await page.evaluate(() => globalThis.eval('messages').filter(({ data }) => data.type === 'bang-gia'));
      const frames = await page.locator('iframe').elementHandles();
      for (const [at, handle] of frames.entries()) {
        const frame = await handle.contentFrame();
        const height = await frame.evaluate(() => Math.ceil(document.querySelector('.bgia').getBoundingClientRect().height));
        assert.deepEqual(told.filter((message) => message.frame === at).at(-1)?.data, { type: 'bang-gia', height });
      }
      return told;
    }, 'heights');
    assert.ok(told.every(({ origin, frame }) => origin === 'null' && frame >= 0));
    if (told.length > KINDS.length) test.diagnostic(`corrected: ${JSON.stringify(told.map(({ frame, data }) => [frame, data.height]))}`);
    await assertQuiet(page, record);
  }));

  for (const [name, style] of [['hidden', 'visibility: hidden'], ['not drawn', 'display: none']]) {
    it(`whose frame is ${name} and without a width when it is loaded hear no height of it, and the right one when it has a width`, () => withHost({
      body: `${LISTEN}<div style="height:5000px"></div><iframe src="${base}/widgets/fx" title="fx" width="0" height="400" sandbox="allow-scripts" style="${style}"></iframe>`,
    }, async (page, record) => {
      await page.goto(record.origin);
      await assertFrames(page, ['fx']);
      const told = () => page.evaluate(() => globalThis.eval('messages').filter(({ data }) => data.type === 'bang-gia').map(({ data }) => data.height));
      // Its own `load` is over, and what it said then is here: messages keep their order.
      const frame = page.frames()[1];
      await frame.waitForFunction(() => performance.getEntriesByType('navigation')[0].loadEventEnd > 0, undefined, { polling: 20 });
      await frame.evaluate(() => parent.postMessage({ type: 'loaded' }, '*'));
      await page.waitForFunction(() => globalThis.eval('messages').some(({ data }) => data.type === 'loaded'));
      assert.deepEqual(await told(), []);
      await page.evaluate(() => Object.assign(document.querySelector('iframe'), { width: 300 }).style.removeProperty('display'));
      await until(async () => {
        const height = await frame.evaluate(() => innerWidth === 300 && Math.ceil(document.querySelector('.bgia').getBoundingClientRect().height));
        assert.equal((await told()).at(-1), height);
        return true;
      }, 'the right height');
      await assertQuiet(page, record);
    }));
  }

  for (const [name, above, hiding, receiver] of [
    ['as it is', 0, undefined, RECEIVER],
    ['far down the article', 5000, undefined, RECEIVER],
    ['of older versions, which clip what they hide and never say that they are ready', 5000, 'position: absolute; clip: rect(1px, 1px, 1px, 1px);', `window.neverReady = true; ${RECEIVER}`],
  ]) {
    it(`of WordPress, ${name}, make of an address a frame of the right height`, async () => {
      for (const kind of KINDS) {
        const embed = await wordpress(`${base}/widgets/${kind}`, hiding);
        assert.ok(embed, `WordPress leaves ${kind} a link`);
        await withHost({ body: `<script>${receiver}</script><div style="width:600px"><div style="height:${above}px"></div>${embed.html}</div>` }, async (page, record) => {
          await page.goto(record.origin);
          await page.waitForFunction(() => !document.querySelector('iframe').hasAttribute('style'));
          await assertFrames(page, [kind]);
          const { wanted } = await assertFits(page, { least: 200 });
          const { quote, seen } = await page.evaluate(() => ({
            quote: document.querySelector('blockquote').checkVisibility(),
            seen: document.querySelector('iframe').checkVisibility({ visibilityProperty: true }),
          }));
          assert.ok(wanted <= 1000, `${kind} is ${wanted} px high, and WordPress cuts at 1000`);
          assert.deepEqual({ quote, seen }, { quote: false, seen: true });
          await assertQuiet(page, record);
        });
      }
    });
  }

  const clobbered = ['createElement', 'createElementNS', 'hidden', 'addEventListener', 'querySelector', 'body', 'head', 'baseURI', 'currentScript', 'defaultView', 'visibilityState', 'append', 'getElementById', 'adoptedStyleSheets']
    .map((name) => `<img name="${name}" alt=""><img name="${name}" alt="">`).join('')
    + '<a id="customElements"></a><a id="fetch"></a><form id="CSSStyleSheet"></form><form id="setTimeout"></form><form id="watched"></form><a id="late"></a>'
    + '<form name="document"><input name="getAttribute"><input name="nodeType"><input name="children"></form>';

  it('A-03 with clobbered names show complete elements', () => withHost({ body: clobbered + script() + each(element) }, async (page, record) => {
    await page.goto(record.origin);
    assert.notEqual(await page.evaluate(() => typeof document.createElementNS), 'function', 'the names are clobbered');
    await assertElements(page);
    await assertQuiet(page, record);
  }));

  it('A-03 with patched and enriched prototypes show the same elements', () => withHost({
    body: `<script>
      Object.prototype.extra = function extra() {};
      Object.prototype['not an attribute'] = 'x';
      Object.prototype.method = 'POST';
      Object.prototype.onclick = 'x';
      Array.prototype.toJSON = () => 'mine';
      Array.prototype.last = function last() { return this.at(-1); };
      String.prototype.toJSON = () => 'mine';
      Element.prototype.remove = () => { throw new Error('not today'); };
      Node.prototype.appendChild = () => { throw new Error('not today'); };
      Document.prototype.write = () => { throw new Error('not today'); };
      Function.prototype.bind = () => { throw new Error('not today'); };
      Set.prototype.toJSON = () => 'mine';
    </script>${script()}${each(element)}`,
  }, async (page, record) => {
    await page.goto(record.origin);
    await assertElements(page);
    const strange = await look(page, () => [...document.querySelectorAll('bang-gia')].flatMap((element) =>
      [...element.shadowRoot.querySelectorAll('*')].flatMap((node) => node.getAttributeNames())
        .filter((name) => name.includes('extra') || name.startsWith('on') || name === 'method')));
    assert.deepEqual(strange, []);
    // Playwright's own way of asking for storage runs among the page's prototypes.
    assert.deepEqual([record.heard, record.violations], [[], []]);
  }));

  it('A-03 with frozen prototypes show complete elements', () => withHost({
    body: `<script>
      for (const kind of [Object, Array, Function, String, Map, Set, Promise, Element, Node, HTMLElement, Document, EventTarget]) Object.freeze(kind.prototype);
      'use strict';
    </script>${script()}${each(element)}`,
  }, async (page, record) => {
    await page.goto(record.origin);
    assert.equal(await look(page, () => Object.isFrozen(Object.prototype)), false, 'the test looks from outside');
    await assertElements(page);
    assert.deepEqual([record.heard, record.violations], [[], []]);
  }));

  it('without cookies of third parties and without any permission show elements, frames and pictures', async () => {
    const powers = ['accelerometer', 'autoplay', 'camera', 'clipboard-read', 'clipboard-write', 'display-capture', 'encrypted-media', 'fullscreen', 'geolocation', 'gyroscope', 'hid', 'idle-detection', 'magnetometer', 'microphone', 'midi', 'payment', 'picture-in-picture', 'publickey-credentials-get', 'screen-wake-lock', 'serial', 'sync-xhr', 'unload', 'usb', 'xr-spatial-tracking'];
    // Somebody who has a cookie, as the proof that none of third parties passes.
    const tracker = await serve(() => ({ headers: { 'Set-Cookie': 'id=1; SameSite=None; Secure' }, body: '<!doctype html><title>t</title>' }));
    try {
      await withHost({
        headers: { 'Permissions-Policy': powers.map((power) => `${power}=()`).join(', ') },
        body: `<iframe title="t" src="${tracker.origin}/"></iframe>${script()}${each(element)}${each(iframe)}${each(picture)}`,
      }, async (page, record) => {
        const session = await record.context.newCDPSession(page);
        await session.send('Network.enable');
        await session.send('Network.setCookieControls', { enableThirdPartyCookieRestriction: true });
        await page.goto(tracker.origin);
        assert.equal((await record.context.cookies()).length, 1);
        await page.goto(record.origin);
        assert.equal(await page.frames()[1].evaluate(() => document.cookie), '', 'cookies of third parties are blocked');
        await record.context.clearCookies();
        await page.evaluate(() => document.querySelector('iframe').remove());
        await assertElements(page);
        await assertFrames(page);
        await assertPictures(page);
        await assertQuiet(page, record, [tracker.origin]);
      });
    } finally {
      await tracker.close();
    }
  });

  it('A-03 with aggressive styles of their own show the element as without them', async () => {
    const hostile = `
      body * { all: revert !important; }
      body * { color: red !important; background: lime !important; font: italic 900 40px/3 cursive !important; letter-spacing: 9px !important; word-spacing: 9px !important;
          text-transform: uppercase !important; text-indent: 30px !important; text-align: center !important; white-space: pre !important; direction: rtl !important;
          text-shadow: 2px 2px red !important; border-collapse: separate !important; border-spacing: 9px !important; list-style: square inside !important; cursor: wait !important;
          quotes: "x" "y" !important; tab-size: 9 !important; hyphens: auto !important; word-break: break-all !important; line-break: anywhere !important; caption-side: bottom !important;
          empty-cells: hide !important; font-feature-settings: "smcp" !important; font-variant: small-caps !important; text-rendering: geometricPrecision !important; -webkit-text-fill-color: red !important; -webkit-text-stroke: 2px red !important; fill: red !important; stroke: red !important; stroke-width: 9 !important; }
      table, tr, td, th, caption { display: block !important; border: 9px solid red !important; float: left !important; }
      .bgia, .bgia * { display: none !important; }
      ::before, ::after { content: "!" !important; }`;
    const drawn = async (style) => withHost({ body: `<style>${style}</style>${script()}${each(element)}` }, async (page, record) => {
      await page.goto(record.origin);
      await assertElements(page);
      await assertQuiet(page, record);
      return look(page, () => [...document.querySelectorAll('bang-gia')].map((element) => {
        const widget = element.shadowRoot.querySelector('.bgia');
        const { left, top } = widget.getBoundingClientRect();
        return [widget, ...widget.querySelectorAll('*')].map((node) => {
          const box = node.getBoundingClientRect();
          const style = getComputedStyle(node);
          // `container` and the like need no list: whatever is computed, except names of sizes that follow the box.
          const computed = Object.fromEntries([...style].map((name) => [name, style.getPropertyValue(name)]));
          // What is not drawn is nowhere.
          return { tag: node.outerHTML.slice(0, 60), box: node.getClientRects().length > 0 && [box.left - left, box.top - top, box.width, box.height].map((value) => Math.round(value * 10) / 10), computed };
        });
      }));
    });
    const [plain, styled] = [await drawn('body { margin: 8px }'), await drawn(hostile)];
    const differing = new Set();
    for (const [at, nodes] of plain.entries()) {
      for (const [place, node] of nodes.entries()) {
        const other = styled[at][place];
        for (const [name, value] of Object.entries(node.computed)) {
          if (value !== other.computed[name]) differing.add(`${name}: ${value} → ${other.computed[name]} (${node.tag})`);
        }
        if (JSON.stringify(node.box) !== JSON.stringify(other.box)) differing.add(`box ${node.box} → ${other.box} (${node.tag})`);
      }
    }
    assert.deepEqual([...differing].slice(0, 10), []);
  });

  it('with the script twice and ten elements ask for each address once and define one element', () => {
    const ten = [...KINDS, 'gold', 'gold', 'fx', 'panel', 'ticker'];
    const { src } = { src: `${base}/embed/v1.js` };
    return withHost({ body: script() + script() + ten.map((kind) => element(kind)).join('') + script(`src="${src}?again"`) }, async (page, record) => {
      await page.goto(record.origin);
      await assertElements(page, ten);
      await page.waitForLoadState('load');
      const asked = record.requests.filter((url) => url.includes('/fragments/'));
      assert.deepEqual([...asked].sort(), KINDS.map((kind) => `${base}/fragments/${kind}.json?`).sort());
      await assertQuiet(page, record);
    });
  });
});

describe('an attacker', () => {
  it('A-04 who floods a frame hears its height a few times, and others in the page hear nothing', () => withHost({
    body: LISTEN + iframe('gold') + '<iframe id="other" title="other" src="/other.html"></iframe>',
    files: { '/other.html': { body: '<!doctype html><title>other</title><script>const heard = []; addEventListener("message", ({ data }) => heard.push(data));</script>' } },
  }, async (page, record) => {
    await page.goto(record.origin);
    const own = () => page.evaluate(() => globalThis.eval('messages').filter(({ frame }) => frame === 0));
    await until(async () => (await own()).length > 0, 'the first report');
    const before = (await own()).length;
    const wrong = [null, 1, 'ready', [], {}, { message: 'ready' }, { message: 'ready', secret: '' }, { message: 'ready', secret: '<img>' }, { message: 'ready', secret: 'a b' },
      { message: 'ready', secret: '"]' }, { message: 'ready', secret: { toString: 'x' } }, { message: 'ready', secret: ['a"'] }, { message: 'height', value: 9, secret: 'abc' }, { type: 'bang-gia', height: 9 }, { __proto__: { message: 'ready' } }];
    // A frame beside it is not its parent, whatever it says.
    const other = page.frames().find((frame) => frame.url().endsWith('/other.html'));
    await other.evaluate(() => { for (let n = 0; n < 100; n += 1) parent.frames[0].postMessage({ message: 'ready', secret: 'abc' }, '*'); });
    await page.evaluate((wrong) => { for (let n = 0; n < 100; n += 1) for (const data of wrong) frames[0].postMessage(data, '*'); }, wrong);
    const frame = page.frames().find((frame) => frame.url().includes('/widgets/gold'));
    const height = await frame.evaluate(() => Math.ceil(document.querySelector('.bgia').getBoundingClientRect().height));
    assert.equal((await own()).length, before, 'nothing of that is answered');
    await page.evaluate(() => { for (let n = 0; n < 1000; n += 1) frames[0].postMessage({ message: 'ready', secret: 'abc123' }, '*'); });
    await until(async () => (await own()).length > before, 'an answer');
    await frame.evaluate(() => new Promise((turn) => setTimeout(turn)));
    const answers = (await own()).slice(before);
    assert.ok(answers.length <= 9 * 4, `${answers.length} messages`);
    assert.deepEqual(answers.filter(({ data }) => data.message === 'height').map(({ data }) => data).at(-1), { message: 'height', value: height, secret: 'abc123' });
    assert.deepEqual(await other.evaluate(() => globalThis.eval('heard')), []);
    assert.equal(await frame.evaluate(() => Math.ceil(document.querySelector('.bgia').getBoundingClientRect().height)), height);
    await assertQuiet(page, record);
  }));

  const framed = async (page) => {
    const frame = await until(() => page.frames()[1], 'a frame');
    return until(() => (frame.url().startsWith('chrome-error:') && 'blocked') || (frame.url() !== 'about:blank' && frame.url() !== '' && 'shown'), 'an outcome');
  };

  it('A-18 cannot frame the gallery, the reference, data or the files of the element', async () => {
    for (const path of ['/', '/docs', '/v1/gold', '/fragments/gold', '/fragments/gold.json', '/embed/v1.js', '/oembed?url=x', '/v1/no-such-thing']) {
      await withHost({ body: `<iframe title="t" src="${base}${path}"></iframe>` }, async (page, { origin }) => {
        await page.goto(origin);
        assert.equal(await framed(page), 'blocked', path);
      });
    }
  });

  it('A-18 cannot frame a preset that names its newsroom, and the newsroom can', () => withFolder(async (folder) => {
    const hosts = await Promise.all([serve(() => ({ body: page() })), serve(() => ({ body: page() }))]);
    const [friend, stranger] = hosts.map(({ origin }) => origin.replace('127.0.0.1', 'localhost'));
    const config = join(folder, 'banggia.toml');
    await writeFile(config, `[presets.partner]\nwidget = "gold"\nlang = "en"\nframe_ancestors = ["${friend}"]\n\n[presets.open]\nwidget = "gold"\n`);
    const service = await startService(folder, { config });
    let shown = 'partner';
    const page = () => `<!doctype html><title>Host</title><iframe title="t" src="${service.origin}/widgets/gold?preset=${shown}"></iframe>`;
    try {
      for (const [preset, host, outcome] of [['partner', friend, 'shown'], ['partner', stranger, 'blocked'], ['open', stranger, 'shown']]) {
        shown = preset;
        await withPage({}, async (page, { heard }) => {
          await page.goto(`${host}/`);
          assert.equal(await framed(page), outcome, `${preset} at ${host}`);
          if (outcome === 'shown') assert.match(await page.frames()[1].locator('.bgia').innerText(), preset === 'partner' ? /Gold/ : /Giá vàng/);
          else assert.match(heard.join(), /frame-ancestors/);
        });
      }
    } finally {
      await service.stop();
      for (const host of hosts) await host.close();
    }
  }));
});

/** Counts timers that are still to come, from the first line on. */
const countTimers = (page) => page.addInitScript(() => {
  const live = new Set();
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  globalThis.setTimeout = (run, ...rest) => {
    const id = set((...given) => { live.delete(id); run(...given); }, ...rest);
    live.add(id);
    return id;
  };
  globalThis.clearTimeout = (id) => { live.delete(id); clear(id); };
  globalThis.timers = () => live.size;
});

describe('a page that lives for long', () => {
  it('is as light after a thousand mounts as before, without a timer or a request', (test) => withHost({ body: script() }, async (page, record) => {
    await countTimers(page);
    await page.goto(record.origin);
    await page.waitForFunction(() => customElements.get('bang-gia'));
    const session = await record.context.newCDPSession(page);
    const heap = async () => {
      // Nodes are on a heap of their own, and those of custom elements go with the second collection.
      await session.send('HeapProfiler.collectGarbage');
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await session.send('Runtime.getHeapUsage');
      const { nodes } = await session.send('Memory.getDOMCounters');
      return { bytes: usedSize + embedderHeapUsedSize + backingStorageSize, nodes };
    };
    const mount = (rounds) => page.evaluate(async ([kinds, rounds]) => {
      for (let round = 0; round < rounds; round += 1) {
        const elements = kinds.flatMap((kind) => [kind, kind, kind, kind]).map((kind) => {
          const element = document.createElement('bang-gia');
          element.setAttribute('widget', kind);
          document.body.append(element);
          return element;
        });
        while (!elements.every((element) => element.shadowRoot.querySelector('.bgia'))) await new Promise(requestAnimationFrame);
        for (const [at, element] of elements.entries()) {
          if (at % 2) element.setAttribute('lang', 'en');
          element.remove();
        }
      }
    }, [KINDS, rounds]);
    await mount(10);
    const before = await heap();
    await mount(50);
    const after = await heap();
    const [grown, more] = [after.bytes - before.bytes, after.nodes - before.nodes];
    assert.ok(grown < 1_000_000, `the heap grew by ${grown} bytes`);
    assert.ok(more < 1000, `${more} nodes are left, of ${before.nodes} and a million`);
    test.diagnostic(`${grown} bytes, ${more} nodes`);
    assert.equal(await page.evaluate(() => globalThis.timers()), 0, 'timers are left');
    const asked = record.requests.length;
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })));
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.equal(record.requests.length, asked, 'somebody still asks');
    await assertQuiet(page, record);
  }));

  it('loses its elements while they are asked for, and nothing is left', () => withHost({ body: script() }, async (page, record) => {
    await countTimers(page);
    await page.goto(record.origin);
    await page.waitForFunction(() => customElements.get('bang-gia'));
    await page.evaluate(async (kinds) => {
      for (let round = 0; round < 20; round += 1) {
        const elements = kinds.map((kind) => document.body.appendChild(Object.assign(document.createElement('bang-gia'), { title: '' })));
        elements.forEach((element, at) => element.setAttribute('widget', kinds[at]));
        await Promise.resolve();
        for (const element of elements) element.remove();
      }
    }, KINDS);
    await page.waitForLoadState('networkidle');
    assert.equal(await page.evaluate(() => globalThis.timers()), 0);
    assert.deepEqual(record.violations, []);
  }));
});
