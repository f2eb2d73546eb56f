// What the ways in cost: bytes on the wire as a running service sends them, and requests as the browser makes them.

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { before, describe, it } from 'node:test';
import { brotliCompressSync, brotliDecompressSync, gunzipSync } from 'node:zlib';
import { base, withBrowser, withPage, serve } from './lib.mjs';
import { WIDGETS, pages, serviceIsFilled, written } from './states.mjs';

withBrowser();

/** An answer as it comes over the wire, and what it says once unpacked. */
const wire = (path, encoding = 'br') => new Promise((done, failed) => get(base + path, { headers: { 'Accept-Encoding': encoding } }, async (answer) => {
  const bytes = Buffer.concat(await answer.toArray());
  assert.equal(answer.statusCode, 200, path);
  if (answer.headers['content-length']) assert.equal(bytes.length, Number(answer.headers['content-length']));
  const unpack = { br: brotliDecompressSync, gzip: gunzipSync }[answer.headers['content-encoding']] ?? ((bytes) => bytes);
  done({ bytes: bytes.length, text: unpack(bytes).toString(), body: unpack(bytes), type: answer.headers['content-type'], encoding: answer.headers['content-encoding'] });
}).on('error', failed));

const atMost = (bytes, limit, what) => assert.ok(bytes <= limit, `${what}: ${bytes} bytes of ${limit}`);

describe('what is sent', () => {
  before(serviceIsFilled);

  it('the script has at most 4,000 bytes in brotli and 4,600 in gzip', async (test) => {
    const [br, gzip] = [await wire('/embed/v1.js'), await wire('/embed/v1.js', 'gzip')];
    assert.deepEqual([br.encoding, gzip.encoding, br.text], ['br', 'gzip', gzip.text]);
    test.diagnostic(`script: ${br.bytes} br, ${gzip.bytes} gzip`);
    atMost(br.bytes, 4000, 'brotli');
    atMost(gzip.bytes, 4600, 'gzip');
  });

  it('what a live element loads beside it has at most 800 bytes in brotli', async (test) => {
    const [name] = /live\.[0-9a-f]{8}\.js/.exec((await wire('/embed/v1.js')).text);
    const live = await wire(`/embed/${name}`);
    test.diagnostic(`live: ${live.bytes} br`);
    assert.equal(live.encoding, 'br');
    atMost(live.bytes, 800, 'brotli');
  });

  for (const widget of WIDGETS) {
    it(`${widget} is within its budgets`, async (test) => {
      const script = (await wire('/embed/v1.js')).bytes;
      for (const query of ['', '?lang=en', '?rows=20&transparent=1&accent=c00000']) {
        const sizes = {
          tree: (await wire(`/fragments/${widget}.json${query}`)).bytes,
          page: (await wire(`/widgets/${widget}${query}`)).bytes,
          fragment: (await wire(`/fragments/${widget}${query}`)).bytes,
          png: (await wire(`/images/${widget}.png${query}`)).bytes,
          twice: (await wire(`/images/${widget}.png${query}${query ? '&' : '?'}scale=2`)).bytes,
        };
        test.diagnostic(`${widget}${query}: ${Object.entries(sizes).map((pair) => pair.join(' ')).join(', ')}`);
        atMost(script + sizes.tree, 8000, `element${query}`);
        atMost(sizes.page, 10_000, `page${query}`);
        atMost(sizes.fragment, 6000, `fragment${query}`);
        atMost(sizes.png, 40_000, `picture${query}`);
        atMost(sizes.twice, 90_000, `picture at scale 2${query}`);
      }
    });

    it(`${widget} is a picture of well-formed SVG and of PNG, of one size`, () => withPage({}, async (page) => {
      for (const query of ['', '?lang=en&theme=dark', '?transparent=1&compact=1']) {
        const svg = await wire(`/images/${widget}.svg${query}`);
        assert.match(svg.type, /^image\/svg\+xml/);
        const { error, root, width, height, title } = await page.evaluate((text) => {
          const made = new DOMParser().parseFromString(text, 'image/svg+xml');
          const { documentElement: root } = made;
          return {
            error: made.querySelector('parsererror')?.textContent ?? '', root: `${root.namespaceURI} ${root.localName}`,
            width: Number(root.getAttribute('width')), height: Number(root.getAttribute('height')), title: made.querySelector('title')?.textContent ?? '',
          };
        }, svg.text);
        assert.deepEqual([error, root], ['', 'http://www.w3.org/2000/svg svg']);
        assert.ok(title.length > 10, 'has no title');
        for (const scale of [1, 2]) {
          const png = await wire(`/images/${widget}.png${query}${query ? '&' : '?'}scale=${scale}`);
          assert.equal(png.type, 'image/png');
          assert.equal(png.body.subarray(1, 4).toString(), 'PNG');
          assert.deepEqual([png.body.readUInt32BE(16), png.body.readUInt32BE(20)], [width * scale, height * scale]);
        }
      }
    }));
  }

  it('the fullest states are within the budgets too', async () => {
    const script = (await wire('/embed/v1.js')).bytes;
    const squeezed = async (cell, ending) => brotliCompressSync(await written(cell, ending)).length;
    for (const cell of pages.filter(({ theme }) => theme === 'auto')) {
      atMost(script + await squeezed(cell, '.json'), 8000, `element of ${cell.file}`);
      atMost(await squeezed(cell, '.html'), 10_000, cell.file);
      atMost(await squeezed(cell, '.fragment.html'), 6000, `fragment of ${cell.file}`);
    }
  });

  for (const widget of WIDGETS) {
    it(`${widget} in a frame is one request, as an element two`, async () => {
      const host = await serve((path) => path.length === 1 ? undefined : {
        body: `<!doctype html><title>Host</title><link rel="icon" href="data:,">${path === '/frame'
          ? `<iframe src="${base}/widgets/${widget}" width="300" height="900"></iframe>`
          : `<script type="module" crossorigin src="${base}/embed/v1.js"></script><bang-gia widget="${widget}"></bang-gia>`}`,
      });
      try {
        for (const [way, wanted] of [['frame', [`/widgets/${widget}`]], ['element', ['/embed/v1.js', `/fragments/${widget}.json?`]]]) {
          await withPage({}, async (page, { requests }) => {
            await page.goto(`${host.origin}/${way}`);
            await (way === 'frame' ? page.frameLocator('iframe') : page).locator('.bgia').waitFor();
            await page.waitForLoadState('networkidle');
            assert.deepEqual(requests.slice(1), wanted.map((path) => base + path));
          });
        }
      } finally {
        await host.close();
      }
    });
  }
});
