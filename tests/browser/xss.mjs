// Strangers' text: whatever stands in a parameter, a path, an attribute or a source's answer is shown as text or not at all.
// Environment: lib.mjs, hosting.mjs. FULL=1 tries each parameter by itself instead of six at a time.

import assert from 'node:assert/strict';
import { cp, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FULL, base, withBrowser, withPage } from './lib.mjs';
import { KINDS, elements, look, script, startService, until, withFolder, withHost } from './hosting.mjs';
import { PAYLOADS } from './payloads.mjs';

withBrowser();

const LOOKS = ['preset', 'theme', 'lang', 'accent', 'transparent', 'compact', 'rows', 'title', 'link', 'motion', 'utm_source'];
const FILTERS = {
  panel: ['providers', 'products', 'places', 'unit', 'currencies', 'terms', 'channel', 'customer'],
  gold: ['providers', 'products', 'places', 'unit'],
  fx: ['providers', 'currencies'],
  deposits: ['providers', 'terms', 'channel', 'customer'],
  ticker: ['providers', 'products', 'currencies', 'terms'],
  chart: ['series', 'range', 'from', 'to'],
};
/** So many mistakes are told of one request. */
const TOGETHER = FULL ? 1 : 6;

const query = (parameters, value) => parameters.map((name) => `${name}=${encodeURIComponent(value)}`).join('&');

/** Addresses with a payload, `[path, parameters]`: the payload is the value of each. */
const places = () => {
  const all = [];
  for (const [at, kind] of KINDS.entries()) {
    const parameters = [...(FULL || at === 0 ? LOOKS : []), ...FILTERS[kind]];
    for (const path of [`/widgets/${kind}`, `/fragments/${kind}`, `/fragments/${kind}.json`, `/images/${kind}.svg`]) all.push([path, parameters]);
    all.push([`/images/${kind}.png`, [...parameters, 'scale']]);
  }
  all.push(['/', ['widget', 'width', 'fx', ...LOOKS, ...FILTERS.panel]]);
  for (const ending of ['', '.csv']) {
    for (const kind of ['gold', 'fx', 'deposits']) all.push([`/v1/${kind}${ending}`, FILTERS[kind]]);
  }
  all.push(['/v1/convert', ['from', 'to', 'amount', 'provider', 'side', 'product']]);
  for (const path of ['/v1', '/v1/board', '/v1/feeds', '/docs', '/openapi.json', '/embed/v1.js', '/no/such/thing']) all.push([path, ['x']]);
  all.push([`/oembed?url=${encodeURIComponent(`${base}/widgets/panel`)}`, ['maxwidth', 'maxheight', 'callback']]);
  all.push(['/oembed', ['format']], ['/oembed', ['url', 'maxwidth']]);
  return all.flatMap(([path, parameters]) => {
    const some = [];
    for (let at = 0; at < parameters.length; at += TOGETHER) some.push([path, parameters.slice(at, at + TOGETHER)]);
    return some;
  });
};

/** All addresses of a payload. */
const addresses = (payload) => {
  const safe = encodeURIComponent(payload);
  const inside = (address) => `/oembed?format=json&url=${encodeURIComponent(address)}`;
  return [
    ...places().map(([path, parameters]) => `${path}${path.includes('?') ? '&' : '?'}${query(parameters, payload)}`),
    `/v1/gold?${safe}=1`, `/v1/convert?${safe}=${safe}`, `/widgets/gold?${safe}=${safe}`, `/?${safe}=${safe}`,
    ...['/', '/widgets/', '/fragments/', '/images/', '/embed/', '/embed/0.1.0/', '/v1/', '/docs/problems/', '/assets/'].map((path) => path + safe),
    `/images/${safe}.png`, `/fragments/${safe}.json`,
    inside(`${base}/widgets/panel?theme=${safe}`), inside(`${base}/widgets/${payload}`), inside(`${base}/widgets/panel?utm=${safe}`), inside(`${base}/widgets/panel#${payload}`),
    inside(`javascript:${payload}`), inside(`//evil.example/${payload}`),
  ];
};

const TYPES = {
  '/widgets/': 'text/html; charset=utf-8', '/fragments/': 'text/html; charset=utf-8', '/images/': 'image/svg+xml; charset=utf-8', '/v1': 'application/json', '/oembed': 'application/json', '/docs': 'text/html; charset=utf-8',
};

/** What is wrong with an answer; nothing if all is well. */
function wrong(address, status, headers, body) {
  const path = address.split('?')[0];
  const type = headers.get('content-type');
  const policy = headers.get('content-security-policy') ?? '';
  // Only as XML, of which oEmbed has an own answer, is there something that is "not implemented".
  if (![200, 404, 422].includes(status) && !(status === 501 && path === '/oembed')) return `status ${status}`;
  if (headers.has('location') || headers.has('refresh') || headers.has('set-cookie')) return 'leads away or sets a cookie';
  if (headers.get('x-content-type-options') !== 'nosniff') return 'may be sniffed';
  if (!policy.startsWith("default-src 'none'") || /unsafe|data:|https?:/.test(policy)) return `has the policy ${policy}`;
  if (status !== 200) {
    if (type !== 'application/problem+json') return `is ${type}`;
    if (/[<>]/.test(body)) return 'has < or > in a problem';
    return undefined;
  }
  const wanted = Object.entries(TYPES).find(([prefix]) => path.startsWith(prefix))?.[1];
  if (wanted && type !== wanted && !/\.(json|csv|png|js)$/.test(path)) return `is ${type}`;
  if (/json$/.test(type) && path !== '/openapi.json' && !path.endsWith('.json') && /[<>]/.test(body)) return 'has < or > in JSON';
  // Nothing of ours says that.
  if (!path.startsWith('/embed') && body.includes('alert(')) return 'reflects what was given';
  return undefined;
}

describe('what strangers write into an address', () => {
  it(`A-02 is never reflected as markup: ${PAYLOADS.length} payloads in every parameter and path`, async (test) => {
    assert.ok(PAYLOADS.length >= 500);
    const failed = [];
    let asked = 0;
    const queue = PAYLOADS.values();
    const worker = async () => {
      for (const payload of queue) {
        for (const address of addresses(payload)) {
          const answer = await fetch(base + address, { redirect: 'manual' });
          asked += 1;
          const reason = wrong(address, answer.status, answer.headers, await answer.text());
          if (reason) failed.push(`${address}: ${reason}`);
          if (failed.length > 20) return;
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    assert.deepEqual(failed, []);
    test.diagnostic(`${asked} requests`);
  });

  const sample = PAYLOADS.filter((_, at) => at % 17 === 3);

  it(`A-02 does not run: ${sample.length} payloads in Chromium`, () => withPage({ width: 800 }, async (page) => {
    const dialogs = [];
    page.on('dialog', (dialog) => { dialogs.push(dialog.message()); return dialog.dismiss(); });
    const shape = () => page.evaluate(() => [...document.querySelectorAll('*')].map(({ tagName, attributes }) =>
      tagName + [...attributes].filter(({ name }) => name.startsWith('on')).map(({ name }) => name)).join());
    const plain = new Map();
    for (const path of ['/', '/widgets/gold', '/docs']) {
      await page.goto(base + path);
      plain.set(path, await shape());
    }
    for (const payload of sample) {
      const safe = encodeURIComponent(payload);
      for (const path of plain.keys()) {
        await page.goto(`${base}${path}?x=${safe}&${safe}=1#${safe}`);
        assert.equal(await shape(), plain.get(path), payload);
      }
      for (const address of [`/widgets/gold?theme=${safe}`, `/?theme=${safe}&rows=${safe}`, `/images/gold.svg?accent=${safe}`, `/oembed?url=${safe}`, `/no-such-thing/${safe}`]) {
        await page.goto(base + address);
        assert.deepEqual(await page.evaluate(() => [...new Set([...document.querySelectorAll('*')].map(({ tagName }) => tagName))].sort()
          .filter((name) => !['HTML', 'HEAD', 'META', 'BODY', 'PRE', 'DIV'].includes(name))), [], address);
      }
    }
    assert.deepEqual(dialogs, []);
  }));

  it('A-02 does not run out of attributes of the element, which then keeps what the page put inside', () => withHost({ body: script() }, async (page, record) => {
    const dialogs = [];
    page.on('dialog', (dialog) => { dialogs.push(dialog.message()); return dialog.dismiss(); });
    await page.goto(record.origin);
    await page.waitForFunction(() => customElements.get('bang-gia'));
    let answered = 0;
    for (const event of ['requestfinished', 'requestfailed']) page.on(event, (request) => { answered += request.url().includes('/fragments/'); });
    const names = ['widget', ...LOOKS.slice(0, 10), ...FILTERS.panel];
    for (const [at, payload] of sample.entries()) {
      await page.evaluate(([payload, names]) => {
        document.body.replaceChildren(...names.map((name) => {
          const element = document.createElement('bang-gia');
          element.setAttribute(name, payload);
          element.append('link');
          return element;
        }));
      }, [payload, names]);
      await until(() => answered >= (at + 1) * names.length, 'answers');
      const shown = await elements(page);
      // An unknown widget is nowhere; a wrong option is refused.
      assert.equal(shown.filter(({ text }) => text).length, 0, payload);
      assert.deepEqual(await look(page, () => [...document.querySelectorAll('bang-gia')].map((element) => element.shadowRoot.innerHTML)), names.map(() => '<slot></slot>'));
      assert.equal(new URL(page.url()).origin, record.origin);
    }
    assert.deepEqual(dialogs, []);
    assert.deepEqual(record.requests.filter((url) => ![base, record.origin].some((origin) => url.startsWith(`${origin}/`))), []);
  }));
});

describe('what sources write', () => {
  const HOSTILE = [
    '<img src=x onerror=alert(1)>', '"><script>alert(2)</script>', '</title><svg onload=alert(3)>', 'javascript:alert(4)', '=HYPERLINK("http://evil.example","x")', '+cmd|alert(5)', '@SUM(1)', '-2+3',
    ']]><script>alert(6)</script>', '\u202e<b>alert(7)\u200b', "'; alert(8); '", '</script><script>alert(9)</script>', '{{alert(10)}}', '--><img src=x onerror=alert(11)>',
  ];

  /** The recordings with hostile text in every place that is a text; `spoil` decides where. */
  async function spoiled(folder, spoil) {
    const replay = join(folder, 'replay');
    await cp(new URL('../../providers/fixtures/replay', import.meta.url), replay, { recursive: true });
    let next = 0;
    const hostile = () => HOSTILE[next++ % HOSTILE.length];
    for (const house of await readdir(replay)) {
      for (const file of await readdir(join(replay, house))) {
        const path = join(replay, house, file);
        const source = await readFile(path, 'utf8');
        await writeFile(path, file.endsWith('.json')
          ? JSON.stringify(JSON.parse(source, (key, value) => (typeof value === 'string' && spoil(key, value) ? hostile() : value)))
          : source.replace(/<title>[^<]*/, () => `<title>${hostile().replaceAll('<', '&lt;')}`).replace(/(<h\d[^>]*>)[^<]*/g, (_, tag) => tag + hostile().replaceAll('<', '&lt;')));
      }
    }
    return replay;
  }

  const isText = (key) => /name(?!record)|note|icon|image|title_en|symbol|message|hour|label|desc/i.test(key);

  for (const [sort, spoil] of [['names and notes', isText], ['names, notes and whatever else is a text', (key, value) => isText(key) || !/^[\d.,:\s/TZ+-]*$/.test(value)]]) {
    it(`A-01 is shown as text in every form: ${sort}`, () => withFolder(async (folder) => {
      const service = await startService(folder, { replay: await spoiled(folder, spoil) });
      try {
        const paths = [
          '/', '/?lang=en', '/docs', '/docs/problems', '/openapi.json', '/v1', '/v1/board', '/v1/feeds', '/v1/convert?from=USD&to=VND',
          ...['gold', 'fx', 'deposits'].flatMap((kind) => [`/v1/${kind}`, `/v1/${kind}.csv`]),
          ...KINDS.flatMap((kind) => ['vi', 'en'].flatMap((lang) => [`/widgets/${kind}?lang=${lang}`, `/fragments/${kind}?lang=${lang}`, `/fragments/${kind}.json?lang=${lang}`, `/images/${kind}.svg?lang=${lang}`])),
          ...KINDS.map((kind) => `/oembed?url=${encodeURIComponent(`${service.origin}/widgets/${kind}`)}`),
        ];
        const raw = [];
        let seen = 0;
        for (const path of paths) {
          const answer = await fetch(service.origin + path);
          const body = await answer.text();
          const type = answer.headers.get('content-type');
          if (answer.status >= 500 && answer.status !== 503) raw.push(`${path}: ${answer.status}`);
          if (/alert\(|HYPERLINK/.test(body)) seen += 1;
          if (/<(img src=x|script>alert|svg onload|b>alert)/i.test(body) && !type.startsWith('text/csv')) raw.push(`${path}: raw markup`);
          if (/^application\/(problem\+)?json/.test(type) && path.startsWith('/v1') && /[<>]/.test(body)) raw.push(`${path}: < or >`);
          if (/href="javascript:/i.test(body)) raw.push(`${path}: a link that runs`);
          if (type.startsWith('text/csv')) {
            for (const cell of body.split(/\r\n|,/)) if (/^"?[=+@]|^"?-\D/.test(cell)) raw.push(`${path}: a formula, ${cell}`);
          }
          if (/[\u202a-\u202e\u2066-\u2069]/.test(body)) raw.push(`${path}: turns the direction of what follows`);
        }
        assert.deepEqual(raw, []);
        if (sort === 'names and notes') assert.ok(seen > 0, 'hostile text arrived somewhere, else this tests nothing');

        await withPage({ width: 800 }, async (page, { requests }) => {
          const dialogs = [];
          page.on('dialog', (dialog) => { dialogs.push(dialog.message()); return dialog.dismiss(); });
          for (const path of paths.filter((path) => !path.includes('.csv'))) {
            await page.goto(service.origin + path);
            const strange = await page.evaluate(() => [...document.querySelectorAll('*')].filter((node) =>
              [...node.attributes].some(({ name, value }) => name.startsWith('on') || /^\s*javascript:/i.test(value)) || (node.localName === 'img' && node.getAttribute('src') === 'x'))
              .map((node) => node.outerHTML.slice(0, 100)));
            assert.deepEqual(strange, [], path);
          }
          assert.deepEqual(dialogs, []);
          assert.deepEqual(requests.filter((url) => !url.startsWith(`${service.origin}/`)), []);
        });
      } finally {
        await service.stop();
      }
    }));
  }
});
