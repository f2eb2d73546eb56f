// What Lighthouse says of the gallery and of a host page with six widgets. Performance is printed: on a busy machine it is noise.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import lighthouse from 'lighthouse';
import { chromium } from 'playwright-core';
import { CHROMIUM, FULL, base, serve } from './lib.mjs';
import { serviceIsFilled } from './states.mjs';

const CATEGORIES = ['accessibility', 'best-practices', 'seo', 'performance'];
const TEXT = 'Giá vàng trong nước sáng nay tăng nhẹ theo giá thế giới, tỷ giá ổn định. '.repeat(6);

const freePort = () => new Promise((found) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => found(port));
  });
});

describe('Lighthouse gives full marks', () => {
  let port;
  let browser;
  let host;

  before(async () => {
    await serviceIsFilled();
    port = await freePort();
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--headless', '--no-sandbox', '--disable-gpu', `--remote-debugging-port=${port}`, '--no-first-run', '--disable-background-networking'],
    });
    host = await serve(async (path) => {
      if (path === '/robots.txt') return { headers: { 'Content-Type': 'text/plain' }, body: 'User-agent: *\nAllow: /\n' };
      if (path !== '/') return undefined;
      return { body: await newspaper() };
    });
  });
  after(() => Promise.all([browser?.close(), host?.close()]));

  /** Three frames and three elements, as the gallery prints them. */
  async function newspaper() {
    const printed = async (widget, way) => {
      const html = await (await fetch(`${base}/?widget=${widget}`)).text();
      const [, code] = [...html.matchAll(/<pre[^>]*><code>([^]*?)<\/code>/g)][way];
      return code.replaceAll('&#60;', '<').replaceAll('&lt;', '<').replaceAll('&#62;', '>').replaceAll('&gt;', '>').replaceAll('&#34;', '"').replaceAll('&quot;', '"').replaceAll('&#38;', '&').replaceAll('&amp;', '&');
    };
    const parts = await Promise.all([['ticker', 1], ['panel', 0], ['gold', 1], ['fx', 0], ['deposits', 1], ['gold', 0]].map((part) => printed(...part)));
    return `<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Tin kinh tế trong ngày: vàng, tỷ giá, lãi suất."><title>Báo địa phương: tin kinh tế</title><link rel="icon" href="data:,">
<style>body { margin: 0 } main { max-width: 680px; margin: 0 auto; padding: 0 12px; font: 16px/1.5 sans-serif } iframe { border: 0; max-width: 100% }</style></head>
<body><main><h1>Tin kinh tế</h1><h2>Bảng giá</h2>${parts.map((part) => `<p>${TEXT}</p>\n${part}`).join('\n')}<p>${TEXT}</p></main></body></html>`;
  }

  for (const [name, address] of [
    ['the gallery', () => `${base}/`], ['a host page with six widgets', () => `${host.origin}/`], ...(FULL ? [['the gallery in English', () => `${base}/?lang=en`]] : []),
  ]) {
    it(name, async (test) => {
      const { lhr } = await lighthouse(address(), { port, output: 'json', logLevel: 'silent', onlyCategories: CATEGORIES });
      assert.equal(lhr.runtimeError, undefined);
      const marks = Object.fromEntries(CATEGORIES.map((category) => [category, Math.round(lhr.categories[category].score * 100)]));
      test.diagnostic(`${name}: ${JSON.stringify(marks)}, CLS ${lhr.audits['cumulative-layout-shift'].numericValue}, Lighthouse ${lhr.lighthouseVersion}`);
      const missed = CATEGORIES.slice(0, 3).flatMap((category) => lhr.categories[category].auditRefs)
        .filter(({ id, weight }) => weight > 0 && lhr.audits[id].score !== null && lhr.audits[id].score < 1)
        .map(({ id }) => `${id}: ${JSON.stringify(lhr.audits[id].details?.items ?? lhr.audits[id].displayValue)?.slice(0, 600)}`);
      assert.deepEqual(missed, []);
      assert.deepEqual(CATEGORIES.slice(0, 3).map((category) => marks[category]), [100, 100, 100]);
    });
  }
});
