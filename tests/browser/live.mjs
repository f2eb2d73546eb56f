// Elements with the attribute `live`: one stream a page that only says when to ask again, and an element that goes on as before
// where there is none. Against a server whose events are the test's to send, and against the service. Environment: lib.mjs.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { STATES_DIR, base, withBrowser } from './lib.mjs';
import { KINDS, assertElements, assertQuiet, each, element, script, until, withHost } from './hosting.mjs';
import { serviceIsFilled } from './states.mjs';

withBrowser();

const NOW = new Date('2026-09-30T10:05:00+07:00');
const SCRIPT = await (await fetch(`${base}/embed/v1.js`)).text();
const [NAME] = /live\.[0-9a-f]{8}\.js/.exec(SCRIPT);
const LIVE = await (await fetch(`${base}/embed/${NAME}`)).text();
const state = (kind, name) => readFile(join(STATES_DIR, `${kind}-${name}-vi-auto.json`), 'utf8');
const events = (requests) => requests.filter((url) => new URL(url).pathname === '/v1/events');

/** A service with a `board` of fragments by kind, `streams` that stay open, and what it was `asked` for. */
async function withService(test) {
  const service = { board: {}, streams: new Set(), asked: [], files: { '/embed/v1.js': SCRIPT, [`/embed/${NAME}`]: LIVE }, refuses: false };
  for (const kind of ['gold', 'fx', 'deposits']) service.board[kind] = await state(kind, 'fresh');
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    service.asked.push(pathname);
    const answer = (status, type, body) => response.writeHead(status, {
      'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin', 'Cache-Control': 'no-store', 'Content-Type': type,
    })[body === undefined ? 'flushHeaders' : 'end'](body);
    const kind = /^\/fragments\/(\w+)\.json$/.exec(pathname)?.[1];
    if (service.files[pathname]) answer(200, 'text/javascript', service.files[pathname]);
    else if (kind) answer(200, 'application/json', service.board[kind]);
    else if (pathname !== '/v1/events') answer(404, 'application/problem+json', '{}');
    else if (service.refuses) answer(503, 'application/problem+json', '{}');
    else {
      answer(200, 'text/event-stream');
      response.write('retry: 5000\nid: 1\n\n');
      service.streams.add(response);
      response.on('close', () => service.streams.delete(response));
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  service.origin = `http://127.0.0.1:${server.address().port}`;
  service.count = (path) => service.asked.filter((asked) => asked === path).length;
  service.tell = (type, data) => {
    for (const stream of service.streams) stream.write(`id: 2\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  try {
    return await test(service);
  } finally {
    await new Promise((done) => server.close(done).closeAllConnections());
  }
}

/** A page of that service with these elements, on a clock that stands until it is moved. */
const withElements = (service, elements, test) => withHost({
  body: `<script type="module" crossorigin src="${service.origin}/embed/v1.js"></script>${elements}`,
}, async (page, record) => {
  await page.clock.install({ time: NOW });
  await page.goto(record.origin);
  await page.clock.pauseAt(NOW.getTime() + 20_000);
  await page.waitForFunction(() => [...document.querySelectorAll('bang-gia')].every((element) => element.shadowRoot?.querySelector('.bgia')));
  await test(page, record);
});

const run = (page, seconds) => page.clock.runFor(seconds * 1000);
const shows = (page, text) => page.waitForFunction((text) => document.querySelector('bang-gia').shadowRoot.textContent.includes(text), text);
const hide = (page, hidden) => page.evaluate((hidden) => {
  Object.defineProperty(Document.prototype, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
}, hidden);
const opened = (service) => until(() => service.streams.size > 0, 'a stream');

/** Moves the clock until `check` holds: an event is answered for within seconds, and not at once. */
const awaits = (page, check, what) => until(async () => {
  await run(page, 0.2);
  return check();
}, what);

describe('a live element', () => {
  it('has one stream with all others of its page', () => withService((service) =>
    withElements(service, '<bang-gia widget="gold" live></bang-gia>'.repeat(3) + '<bang-gia widget="fx" live></bang-gia>', async (page, { heard }) => {
      await opened(service);
      await page.evaluate(() => {
        const late = document.createElement('bang-gia');
        late.setAttribute('widget', 'gold');
        late.setAttribute('live', '');
        document.body.append(late);
      });
      await page.waitForFunction(() => document.body.lastElementChild.shadowRoot?.querySelector('.bgia'));
      await run(page, 50);
      assert.deepEqual([service.streams.size, service.count('/v1/events'), service.count(`/embed/${NAME}`)], [1, 1, 1]);
      assert.deepEqual(heard, []);
    })));

  it('is asked for anew when an event of its kind comes, and at no other', () => withService((service) =>
    withElements(service, '<bang-gia widget="gold" live></bang-gia><bang-gia widget="fx" live></bang-gia><bang-gia widget="deposits"></bang-gia>', async (page, { heard }) => {
      await opened(service);
      const counts = () => ['gold', 'fx', 'deposits'].map((kind) => service.count(`/fragments/${kind}.json`)).join(' ');
      assert.equal(counts(), '1 1 1');
      // A stream keeps its order: once the second is answered for, the first was heard.
      service.tell('quote.changed', { id: 'ocb.deposit.counter.P6M' });
      service.tell('quote.changed', { id: 'bidv.fx.USD' });
      await awaits(page, () => counts() !== '1 1 1', 'an element to ask');
      assert.equal(counts(), '1 2 1');
      service.board.gold = await state('gold', 'held');
      service.tell('quote.held', { id: 'doji.gold.bar' });
      await awaits(page, () => counts() !== '1 2 1', 'an element to ask');
      assert.equal(counts(), '2 2 1');
      await shows(page, 'chờ kiểm tra');
      assert.deepEqual(heard, []);
    })));

  it('is asked for once when a whole board is told, and after a reset', () => withService((service) =>
    withElements(service, '<bang-gia widget="gold" live></bang-gia>', async (page) => {
      await opened(service);
      for (let nth = 0; nth < 40; nth += 1) service.tell('quote.changed', { id: `doji.gold.${nth}` });
      await awaits(page, () => service.count('/fragments/gold.json') > 1, 'the element to ask');
      await run(page, 5);
      assert.equal(service.count('/fragments/gold.json'), 2);
      service.tell('reset', { reason: 'too_old', documents: ['/v1/gold'] });
      await awaits(page, () => service.count('/fragments/gold.json') === 3, 'the element to ask after the reset');
    })));

  it('lets its stream go while nobody looks, and when it is live no more', () => withService((service) =>
    withElements(service, '<bang-gia widget="gold" live></bang-gia>', async (page) => {
      await opened(service);
      await hide(page, true);
      await until(() => service.streams.size === 0, 'the stream to be closed');
      await hide(page, false);
      await opened(service);
      await page.evaluate(() => document.querySelector('bang-gia').remove());
      await until(() => service.streams.size === 0, 'the stream to be closed');
      assert.equal(service.count('/v1/events'), 2);
    })));

  it('goes on polling where streams are refused, throws nothing, and asks for a stream again later', () => withService(async (service) => {
    service.refuses = true;
    await withElements(service, '<bang-gia widget="gold" live></bang-gia>', async (page, { heard }) => {
      await until(() => service.count('/v1/events') === 1, 'the question for a stream');
      service.board.gold = await state('gold', 'held');
      // It may have been refused while the clock went on by itself, before it stood at 20 s.
      await run(page, 35);
      assert.equal(service.count('/v1/events'), 1, 'not at once');
      await run(page, 32);
      await shows(page, 'chờ kiểm tra');
      service.refuses = false;
      await until(async () => {
        await run(page, 5);
        return service.streams.size === 1;
      }, 'a stream');
      // Every 503 the browser notes by itself, now and then as a request that failed too; the script adds nothing.
      assert.deepEqual(heard.filter((line) => !/^error: Failed to load resource: .* 503|^failed: .*\/v1\/events /.test(line)), []);
    });
  }));

  for (const [what, spoil] of [
    ['its second file is missing', ({ files }) => { delete files[`/embed/${NAME}`]; }],
    ['its second file is of something else', ({ files }) => { files[`/embed/${NAME}`] = '<html>a portal</html>'; }],
  ]) {
    it(`shows figures and goes on polling where ${what}, and throws nothing`, () => withService(async (service) => {
      spoil(service);
      await withElements(service, '<bang-gia widget="gold" live></bang-gia>', async (page, { heard }) => {
        await until(() => service.count(`/embed/${NAME}`) > 0, 'the question for it');
        service.board.gold = await state('gold', 'held');
        await run(page, 67);
        await shows(page, 'chờ kiểm tra');
        assert.equal(service.count('/v1/events'), 0);
        // What is missing the browser notes by itself.
        assert.deepEqual(heard.filter((line) => !/^error: Failed to load resource: .* 404|^failed: .*\/live\./.test(line)), []);
      });
    }));
  }
});

describe('live elements of the service', () => {
  before(serviceIsFilled);

  it('under the strictest policy with Trusted Types have one stream, and say nothing', async () => {
    const policy = `default-src 'none'; script-src ${base}; connect-src ${base}; require-trusted-types-for 'script'; trusted-types 'none'`;
    const plain = (kind) => element(kind, 'live').replace(/ style="[^"]*"/, '');
    await withHost({ headers: { 'Content-Security-Policy': policy }, body: script() + each(plain) }, async (page, record) => {
      const answered = page.waitForResponse(`${base}/v1/events`);
      await page.goto(record.origin);
      const answer = await answered;
      assert.equal(answer.status(), 200);
      assert.equal(answer.headers()['content-type'], 'text/event-stream');
      await assertElements(page, KINDS);
      assert.equal(events(record.requests).length, 1);
      await assertQuiet(page, record);
    });
  });

  it('cost what is not live nothing', () => withHost({ body: script() + element('gold') }, async (page, record) => {
    await page.goto(record.origin);
    await assertElements(page, ['gold']);
    await page.waitForLoadState('networkidle');
    assert.deepEqual(record.requests.slice(1), [`${base}/embed/v1.js`, `${base}/fragments/gold.json?`]);
  }));
});
