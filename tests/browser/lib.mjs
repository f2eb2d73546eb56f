// What the browser tests share: the browser, servers of their own, pages whose every word and request is on record.
//
//   STATES_DIR=DIR BASE_URL=http://127.0.0.1:8080 npm test
//
// STATES_DIR   what `cargo run -p widgets --example states -- DIR` wrote
// BASE_URL     a running `banggia serve --replay` whose public_url this is
// SHOTS_DIR    where to keep screenshots, if anywhere
// FULL=1       everything instead of a pairwise selection
// CHROMIUM     the browser, /usr/bin/chromium unless told

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';

export const { STATES_DIR, BASE_URL, SHOTS_DIR, FULL, CHROMIUM = '/usr/bin/chromium' } = process.env;
export const base = BASE_URL?.replace(/\/+$/, '');
export const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
export const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export let browser;

/** Every file of tests has a browser of its own. */
export function withBrowser() {
  before(async () => {
    assert.ok(STATES_DIR && base, 'STATES_DIR and BASE_URL have to be set: see lib.mjs');
    if (SHOTS_DIR) mkdirSync(SHOTS_DIR, { recursive: true });
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-lcd-text', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
  });
  after(() => browser?.close());
}

/** Serves on a free loopback port; `answer(path, url, request)` gives `{ status?, headers?, body }` or nothing for 404. */
export async function serve(answer) {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const { status = 200, headers = {}, body } = (await answer(url.pathname, url, request)) ?? { status: 404, body: '' };
    response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', ...headers }).end(body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((done) => server.close(done).closeAllConnections()) };
}

/** Runs `test` with a page whose console, errors and requests are on record. */
export async function withPage({ width = 300, scheme = 'light', ...options }, test) {
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

export const shot = async (page, file) => SHOTS_DIR && page.screenshot({ path: join(SHOTS_DIR, `${file}.png`), fullPage: true });

/** Violations of a page and of the pages in its frames, under whatever policy they have. It takes scripts, though. */
export async function axe(page) {
  // Pages of one test are no secret to each other, whatever origins they are of.
  const source = `${await readFile(AXE, 'utf8')}; axe.configure({ allowedOrigins: ['<unsafe_all_origins>'] });`;
  for (const frame of page.frames()) await frame.evaluate(source);
  const { violations } = await page.evaluate((tags) => globalThis.axe.run(document, { runOnly: tags, resultTypes: ['violations'] }), TAGS);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ').slice(0, 300)}`);
}
