// What tests of host pages share beside lib.mjs: programs of their own, hosts on another site than the service, a look at
// a page past whatever the page has done to its own prototypes, and WordPress.
//
// BANGGIA      the program, for tests that need a service of their own (a configuration, recordings)

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base, serve, withPage } from './lib.mjs';

export const { BANGGIA } = process.env;
export const KINDS = ['panel', 'gold', 'fx', 'deposits', 'ticker', 'chart'];

/** Waits until `check` gives something; only for what is outside the browser. */
export async function until(check, what, seconds = 15) {
  const end = Date.now() + seconds * 1000;
  for (let last; ;) {
    try {
      const value = await check();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`, { cause: last });
    await new Promise((turn) => setTimeout(turn, 50));
  }
}

/** A loopback port that nobody has now. */
export const freePort = () => new Promise((found) => {
  const server = createServer();
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => found(port));
  });
});

/** A folder for one test. */
export async function withFolder(test) {
  const folder = await mkdtemp(join(tmpdir(), 'banggia-'));
  try {
    return await test(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A program that runs until `stop`. It fails with what the program said. */
export async function start(command, args, { ready, ...options }) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { said += text; });
  const ended = new Promise((done) => { child.on('exit', done); child.on('error', (error) => { said += error; done(); }); });
  const stop = async () => {
    child.kill('SIGTERM');
    const hard = setTimeout(() => child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(hard);
  };
  try {
    await Promise.race([
      until(() => ready(said), `${command} to answer`, 30),
      ended.then(() => { throw new Error(`${command} ended`); }),
    ]);
  } catch (error) {
    await stop();
    throw new Error(`${command}: ${said.slice(-2000)}`, { cause: error });
  }
  return { stop, pid: child.pid, said: () => said };
}

/** A service of a test's own: recordings from `replay` (a folder) or its own ones, and `config` (TOML) in `folder`. */
export async function startService(folder, { replay, config, env = {} } = {}) {
  assert.ok(BANGGIA, 'BANGGIA has to name the program: see hosting.mjs');
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const args = ['serve', '--replay', ...(replay ? [replay] : []), '--listen', `127.0.0.1:${port}`, '--ops-listen', '127.0.0.1:0'];
  if (config) args.push('--config', config);
  const program = await start(BANGGIA, args, {
    cwd: folder,
    env: { ...process.env, BANGGIA_SERVER__RATE_LIMIT: '0', BANGGIA_SERVER__PUBLIC_URL: origin, ...env },
    ready: async () => (await fetch(`${origin}/widgets/panel`)).ok,
  });
  return { ...program, origin };
}

/** A page of a newsroom, on another site than the service: `localhost` and 127.0.0.1 share neither origin nor site. */
export async function withHost({ body, headers = {}, files = {}, ...options }, test) {
  const page = `<!doctype html><html lang="vi"><meta charset="utf-8"><title>Host</title>${body}`;
  // Browsers ask for an icon wherever they are.
  const server = await serve((path) => (path === '/' ? { headers, body: page } : path === '/favicon.ico' ? { status: 204 } : files[path]));
  const origin = server.origin.replace('127.0.0.1', 'localhost');
  try {
    return await withPage({ width: 800, ...options }, async (page, record) => {
      // Policies report to the page that has them; what is reported there is kept where nobody looks it up by name.
      const violations = [];
      await page.exposeBinding('cspViolation', (_, text) => { violations.push(text); });
      await page.addInitScript(() => {
        const tell = globalThis.cspViolation;
        addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile }) =>
          tell(`${violatedDirective} ${blockedURI} ${sourceFile}`));
      });
      return await test(page, { ...record, violations, origin });
    });
  } finally {
    await server.close();
  }
}

/** Nothing said, nothing refused, nobody else asked, nothing kept. */
export async function assertQuiet(page, { heard, requests, context, violations, origin }, others = []) {
  assert.deepEqual(heard, [], 'the console is empty');
  assert.deepEqual(violations, [], 'no policy is violated');
  const known = [base, origin, ...others];
  assert.deepEqual(requests.filter((url) => !known.some((origin) => url.startsWith(`${origin}/`))), [], 'nobody else is asked');
  assert.deepEqual(await context.cookies(), [], 'there is no cookie');
  const { origins } = await context.storageState({ indexedDB: true });
  assert.deepEqual(origins, [], 'nothing is stored');
}

/** Evaluates in a world of its own, where the DOM is the page's and the prototypes are not. */
export async function look(page, evaluate, argument) {
  const session = await page.context().newCDPSession(page);
  try {
    const { frameTree } = await session.send('Page.getFrameTree');
    const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
      contextId: executionContextId, returnByValue: true, awaitPromise: true,
      expression: `(${evaluate})(${JSON.stringify(argument) ?? ''})`,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  } finally {
    await session.detach();
  }
}

const bare = (text) => text.replace(/\s+/g, '');
const words = (node) => (typeof node === 'string' ? node : node.slice(2).map(words).join(''));

/** All that a widget has to say now, without white space. */
export async function text(kind, query = '', origin = base) {
  const [, tree] = await (await fetch(`${origin}/fragments/${kind}.json${query}`)).json();
  return bare(words(tree));
}

/** What each element on the page says now, by its widget; `null` until it shows anything. */
export const elements = (page) => look(page, () =>
  [...document.querySelectorAll('bang-gia')].map((element) => {
    const widget = element.shadowRoot?.querySelector('.bgia');
    return { kind: element.getAttribute('widget'), text: widget && widget.textContent.replace(/\s+/g, '') };
  }));

/** Waits until every element of the page says all that the service has to say. */
export async function assertElements(page, kinds = KINDS, query = '') {
  await until(async () => {
    const shown = await elements(page);
    assert.deepEqual(shown.map(({ kind }) => kind), kinds);
    for (const { kind, text: said } of shown) assert.equal(said, await text(kind, query), kind);
    return true;
  }, 'complete elements');
}

/** Waits until every frame of the page says all that the service has to say. */
export async function assertFrames(page, kinds = KINDS) {
  await until(async () => {
    const frames = page.frames().filter((frame) => frame !== page.mainFrame());
    assert.deepEqual(frames.map((frame) => new URL(frame.url()).pathname.split('/').pop()).sort(), [...kinds].sort());
    for (const frame of frames) {
      const said = await frame.evaluate(() => document.querySelector('.bgia').textContent);
      assert.equal(bare(said), await text(new URL(frame.url()).pathname.split('/').pop()));
    }
    return true;
  }, 'complete frames');
}

/** Waits until a frame, or the only one, is as high as what is in it, `least` px at least; gives both heights. */
export const assertFits = (page, { frame = page.frames()[1], selector = 'iframe', least = 0 } = {}) => until(async () => {
  // Both are read again and again: a frame may be loaded before it has its width.
  const wanted = await frame.evaluate(() => Math.ceil(document.querySelector('.bgia').getBoundingClientRect().height));
  const { height, width } = await page.evaluate((selector) => {
    const { clientHeight: height, clientWidth: width } = document.querySelector(selector);
    return { height, width };
  }, selector);
  assert.equal(height, Math.max(wanted, least), `${frame.url()} at ${width} px`);
  return { height, wanted };
}, 'a frame of the right height');

/** Waits until every picture is loaded. */
export const assertPictures = (page) => until(() => look(page, () => {
  const pictures = [...document.querySelectorAll('img[src*="/images/"]')];
  return pictures.length > 0 && pictures.every((picture) => picture.complete && picture.naturalWidth > 100);
}), 'loaded pictures');

export const script = (attributes = `src="${base}/embed/v1.js"`) => `<script type="module" crossorigin ${attributes}></script>`;
export const element = (kind, attributes = '') =>
  `<bang-gia widget="${kind}" ${attributes} style="display:block;min-height:400px"><a href="${base}/widgets/${kind}">${kind}</a></bang-gia>`;
export const iframe = (kind, attributes = '') =>
  `<iframe src="${base}/widgets/${kind}" title="${kind}" width="300" height="400" ${attributes}></iframe>`;
export const picture = (kind) => `<img src="${base}/images/${kind}.png" width="300" height="400" alt="${kind}">`;
export const each = (make, ...rest) => KINDS.map((kind) => make(kind, ...rest)).join('\n');

// WordPress, after its published behaviour: what it does to the answer of a provider that is not on its list, and what
// the script of its pages does with messages of frames. (Found the address? It looks for <link> in the page there, asks
// that for JSON, and takes the member `html`.)

const ALLOWED = {
  a: ['href'],
  blockquote: [],
  iframe: ['src', 'width', 'height', 'frameborder', 'marginwidth', 'marginheight', 'scrolling', 'title'],
};

/** Keeps allowed tags with allowed attributes, and the text of others. */
const kses = (html) => html.replace(/<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|'[^']*'|[^'">])*)>/gi, (_, end, name, rest) => {
  const allowed = ALLOWED[name.toLowerCase()];
  if (!allowed) return '';
  if (end) return `</${name}>`;
  const kept = [...rest.matchAll(/([a-z-]+)\s*=\s*("[^"]*"|'[^']*')/gi)]
    .filter(([, attribute]) => allowed.includes(attribute.toLowerCase()))
    .filter(([, , value]) => !/^["']\s*javascript:/i.test(value));
  return `<${name}${kept.map(([, attribute, value]) => ` ${attribute}=${value}`).join('')}>`;
});

/** What stands in the article for an address on a line of its own; nothing if WordPress would leave it a link. */
export async function wordpress(address, hiding = 'position: absolute; visibility: hidden;') {
  const page = await (await fetch(address)).text();
  const link = [...page.slice(0, page.indexOf('</head>')).matchAll(/<link\b[^>]*>/gi)].map(([tag]) => tag)
    .find((tag) => /type="application\/json\+oembed"/.test(tag));
  const endpoint = link && /href="([^"]*)"/.exec(link)[1].replaceAll('&amp;', '&').replaceAll('&#38;', '&');
  if (!endpoint) return undefined;
  const asked = new URL(endpoint);
  asked.searchParams.set('maxwidth', '600');
  asked.searchParams.set('maxheight', '900');
  const answer = await (await fetch(asked)).json();
  if (answer.type !== 'rich' && answer.type !== 'video') return undefined;
  const [, quote = '', frame] = /(<blockquote>.*?<\/blockquote>)?.*(<iframe.*?><\/iframe>)/s.exec(kses(answer.html)) ?? [];
  if (!frame) return undefined;
  const secret = randomBytes(5).toString('hex');
  const marked = frame.replace(/ src=(["'])(.*?)\1/, (_, mark, src) => ` src=${mark}${src}#?secret=${secret}${mark} data-secret=${mark}${secret}${mark}`);
  return {
    secret,
    html: quote.replace('<blockquote', `<blockquote class="wp-embedded-content" data-secret="${secret}"`)
      + marked.replace('<iframe', `<iframe class="wp-embedded-content" sandbox="allow-scripts" security="restricted"${quote && ` style="${hiding}"`}`),
  };
}

/** The script of its pages. */
export const RECEIVER = `
  addEventListener('message', ({ data, source }) => {
    if (!data || !(data.secret || data.message || data.value) || /[^a-zA-Z0-9]/.test(data.secret)) return;
    for (const quote of document.querySelectorAll('blockquote[data-secret="' + data.secret + '"]')) quote.style.display = 'none';
    for (const frame of document.querySelectorAll('iframe[data-secret="' + data.secret + '"]')) {
      if (source !== frame.contentWindow) continue;
      frame.removeAttribute('style');
      if (data.message === 'height') frame.height = Math.min(1000, Math.max(200, parseInt(data.value, 10) || 0));
    }
  });
  addEventListener('load', () => {
    if (window.neverReady) return;
    for (const frame of document.querySelectorAll('iframe.wp-embedded-content')) {
      frame.contentWindow.postMessage({ message: 'ready', secret: frame.dataset.secret }, '*');
    }
  });`;
