// docs/EMBEDDING.md, executed: every block that begins with a comment of this file's name, with the address of a running
// service in place of the one in the text. Environment: lib.mjs, hosting.mjs.
//
// nginx, varnishd and php are run as programs of this test; one that is not installed is a skipped test, and with CI=true
// a failed one (tests/run installs them first).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { base, serve, withBrowser, withPage } from './lib.mjs';
import {
  RECEIVER, assertElements, assertFits, assertFrames, assertQuiet, freePort, look, script, start, text, until, withFolder, withHost, wordpress,
} from './hosting.mjs';

withBrowser();

const DOCS = await readFile(new URL('../../docs/EMBEDDING.md', import.meta.url), 'utf8');
const BLOCKS = new Map([...DOCS.matchAll(/<!-- recipes\.mjs: ([a-z ]+) -->\n```[a-z]+\n(.*?)\n```/gs)].map(([, name, block]) => [name, block]));
const executed = new Set();
/** The band that says that figures are recorded ones. */
const BAND = 30;

/** A block, for the service at `origin`. */
function recipe(name, origin = base) {
  assert.ok(BLOCKS.has(name), `the docs have no block "${name}"`);
  executed.add(name);
  return BLOCKS.get(name).replaceAll('https://gia.example.vn', origin).replaceAll('gia.example.vn', new URL(origin).host);
}

const bare = (words) => words.replace(/\s+/g, '');
/** Text of an answer's widget, without white space. */
const rows = (html) => bare((/<div class="bgia[\s\S]*/.exec(html)?.[0] ?? '').replace(/<[^>]*>/g, '').replaceAll('&nbsp;', ' '));
const page = (body) => `<!doctype html><html lang="vi"><meta charset="utf-8"><title>Host</title>\n${body}\n`;

/** Where a distribution keeps programs for administrators. */
const found = (name) => ['', '/usr/sbin/', '/usr/local/sbin/'].map((folder) => folder + name).find((path) => !spawnSync(path, ['-v']).error);

/** A test of a recipe that needs a program. */
function needing(program, name, test) {
  const path = found(program);
  it(name, { skip: !path && process.env.CI !== 'true' && `${program} is not installed` }, async () => {
    assert.ok(path, `${program} is not installed`);
    await withFolder((folder) => test(path, folder));
  });
}

/** The service with another door, which can be shut, and which says how long its answers may be kept. */
async function door() {
  const state = { open: true, asked: 0, keep: 'max-age=1' };
  const server = await serve(async (path, url, { headers }) => {
    state.asked += 1;
    if (!state.open) return { status: 503, headers: { 'Cache-Control': 'no-store' }, body: 'an error page' };
    const answer = await fetch(base + path + url.search, { headers: { 'accept-encoding': headers['accept-encoding'] ?? 'identity' } });
    return { status: answer.status, headers: { 'Content-Type': answer.headers.get('content-type'), 'Cache-Control': state.keep }, body: await answer.text() };
  });
  return Object.assign(state, server);
}

describe('plain HTML', () => {
  it('shows the element', () => withHost({ body: recipe('element'), width: 320 }, async (host, record) => {
    await host.goto(record.origin);
    await assertElements(host, ['panel']);
    await assertQuiet(host, record);
  }));

  it('shows the link inside the element where there is no script', () => withHost({ body: recipe('element'), javaScriptEnabled: false }, async (host, record) => {
    await host.goto(record.origin);
    assert.ok(await host.getByRole('link', { name: 'Giá vàng, tỷ giá, lãi suất' }).isVisible());
  }));

  it('shows the iframe', () => withHost({ body: recipe('iframe') }, async (host, record) => {
    await host.goto(record.origin);
    await assertFrames(host, ['panel']);
    await assertQuiet(host, record);
  }));

  it('follows the height of a frame', () => withHost({ body: recipe('height') }, async (host, record) => {
    await host.goto(record.origin);
    await assertFrames(host, ['gold']);
    const { wanted } = await assertFits(host);
    // Somebody else in the page says something.
    await host.evaluate(() => postMessage({ type: 'bang-gia', height: 77 }, '*'));
    await host.evaluate(() => new Promise((turn) => setTimeout(turn)));
    assert.equal(await host.evaluate(() => document.querySelector('iframe').clientHeight), wanted);
    await assertQuiet(host, record);
  }));

  it('A-04 keeps the height that the frame says, whatever others say and whatever is no height', () => withHost({
    body: recipe('height'),
    files: { '/other.html': { body: '<!doctype html><title>other</title>' } },
  }, async (host, record) => {
    await host.goto(record.origin);
    await assertFrames(host, ['gold']);
    const frame = host.frames().find((frame) => frame.url().includes('/widgets/gold'));
    await host.evaluate(() => new Promise((loaded) => { document.body.append(Object.assign(document.createElement('iframe'), { src: '/other.html', onload: loaded })); }));
    const other = host.frames().find((frame) => frame.url().endsWith('/other.html'));
    const height = () => host.evaluate(() => document.getElementById('gia').clientHeight);
    const { wanted } = await assertFits(host, { frame, selector: '#gia' });
    // The page hears a word of the test's own after all that was said before it.
    const heard = async (from, said) => {
      const word = `heard ${Math.random()}`;
      const hears = host.evaluate((word) => new Promise((done) => { addEventListener('message', ({ data }) => { if (data === word) done(); }); }), word);
      await from.evaluate(([said, word]) => { for (const data of [...said, word]) parent.postMessage(data, '*'); }, [said, word]);
      await hears;
    };
    // A frame beside it, however often.
    await heard(other, Array(1000).fill({ type: 'bang-gia', height: 77 }));
    assert.equal(await height(), wanted);
    // And the frame itself, were it to say what is none: 40 to 2,000 px are.
    await heard(frame, [39, 0, -1, 2001, 1e9, 1.5, '300', null, [300], { valueOf: 1 }, undefined].map((height) => ({ type: 'bang-gia', height })));
    await heard(frame, [null, 300, 'bang-gia', { type: 'bang-gia' }, { type: 'other', height: 300 }, [], '{"type":"bang-gia","height":300}']);
    assert.equal(await height(), wanted);
    for (const limit of [40, 2000]) {
      await heard(frame, [{ type: 'bang-gia', height: limit }]);
      assert.equal(await height(), limit);
    }
    await assertQuiet(host, record);
  }));

  it('takes colours, type and parts from the page', () => withHost({ body: recipe('theming') }, async (host, record) => {
    await host.goto(record.origin);
    await assertElements(host, ['gold'], '?lang=en');
    assert.deepEqual(await look(host, () => {
      const widget = document.querySelector('bang-gia').shadowRoot.querySelector('.bgia');
      const { backgroundColor, fontFamily } = getComputedStyle(widget);
      return [backgroundColor, fontFamily, getComputedStyle(widget.querySelector('.bgia-cap')).textTransform];
    }), ['rgb(255, 248, 231)', 'Georgia, serif', 'uppercase']);
    await assertQuiet(host, record);
  }));

  it('is allowed by the lines of the policy that the docs name', async () => {
    const line = (way) => {
      const [, lines] = new RegExp(`^\\| ${way} \\| \`([^\`]*)\` \\|$`, 'm').exec(DOCS);
      return lines.replaceAll('https://gia.example.vn', base);
    };
    for (const [way, body, shown] of [
      ['element', script() + '<bang-gia widget="gold"></bang-gia>', (host) => assertElements(host, ['gold'])],
      ['iframe, oEmbed', recipe('iframe'), (host) => assertFrames(host, ['panel'])],
      ['picture', recipe('picture'), (host) => host.waitForFunction(() => document.querySelector('img').naturalWidth > 0)],
      ['include', recipe('ssi page'), (host) => host.waitForFunction(() => document.styleSheets.length === 1)],
    ]) {
      await withHost({ headers: { 'Content-Security-Policy': `default-src 'none'; ${line(way)}` }, body }, async (host, record) => {
        await host.goto(record.origin);
        await shown(host);
        await assertQuiet(host, record);
      });
    }
  });

  it('has the heights that the docs say, without the band of recorded samples', async () => {
    const told = /it is (\d+) px for the panel, (\d+) for\s+`gold`, (\d+) for `fx` and `deposits` at 300 px, (\d+) for the `chart`, and (\d+) px for the `ticker` at 680 px/.exec(DOCS).slice(1).map(Number);
    const [panel, gold, fx, chart, ticker] = told;
    for (const [kind, height] of Object.entries({ panel, gold, fx, deposits: fx, chart, ticker })) {
      const answer = await (await fetch(`${base}/oembed?url=${encodeURIComponent(`${base}/widgets/${kind}`)}`)).json();
      assert.equal(answer.height, height + BAND, kind);
    }
    for (const block of BLOCKS.values()) {
      for (const [, height] of block.matchAll(/(?:height="|min-height:)(\d+)/g)) assert.ok([panel, gold].includes(Number(height)), block);
    }
  });

  it('weighs what the docs say', async () => {
    const weigh = async (path) => Number((await fetch(base + path, { method: 'HEAD', headers: { 'Accept-Encoding': path.endsWith('png') ? 'identity' : 'br' } })).headers.get('content-length')) / 1000;
    const told = (way) => /^(?:([\d.]+) kB)(?:.*?([\d.]+) kB)?/.exec(new RegExp(`^\\| ${way}[^|]*\\| ([^|]*)`, 'm').exec(DOCS)[1]).slice(1).map(Number);
    const near = (way, said, is) => assert.ok(Math.abs(said - is) <= 0.1 * is, `${way}: ${said} kB in the docs, ${is} kB`);
    near('element', told('element')[0], await weigh('/embed/v1.js') + await weigh('/fragments/panel.json'));
    near('iframe', told('iframe')[0], await weigh('/widgets/panel'));
    near('include', told('include')[0], await weigh('/fragments/panel'));
    near('style', told('include')[1], await weigh('/embed/v1.css'));
    near('picture', told('picture')[0], await weigh('/images/panel.png'));
  });
});

describe('WordPress', () => {
  it('makes of the address a frame of the right height', async () => {
    const embed = await wordpress(recipe('wordpress').trim());
    await withHost({ body: `<script>${RECEIVER}</script>${embed.html}` }, async (host, record) => {
      await host.goto(record.origin);
      await host.waitForFunction(() => !document.querySelector('iframe').hasAttribute('style'));
      await assertFrames(host, ['panel']);
      await assertFits(host);
      await assertQuiet(host, record);
    });
  });
});

describe('nginx', () => {
  needing('nginx', 'puts the rows into the page, the last ones while the service fails, and the link before there are any', async (nginx, folder) => {
    const service = await door();
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const site = join(folder, 'site');
    await mkdir(site);
    await writeFile(join(site, 'index.html'), page(recipe('ssi page')));
    await writeFile(join(site, 'favicon.ico'), '');
    await writeFile(join(folder, 'nginx.conf'), `
      worker_processes 1; daemon off; pid ${folder}/pid; error_log stderr warn;
      ${process.getuid() === 0 ? 'user root;' : ''}
      events {}
      http {
        types { text/html html; } default_type text/html; charset utf-8; access_log off;
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
        ${recipe('ssi cache').replace('/var/cache/nginx', folder)}
        server {
          listen 127.0.0.1:${port}; root ${site};
          ${recipe('ssi server', service.origin)}
        }
      }`);
    const read = async (path = '/') => (await fetch(origin + path, { headers: { 'Accept-Encoding': 'gzip, br' } })).text();
    service.open = false;
    const program = await start(nginx, ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'], { ready: async () => (await fetch(origin)).ok });
    try {
      const failed = await read();
      assert.match(failed, /<a href="[^"]*\/widgets\/panel">Giá vàng, tỷ giá, lãi suất<\/a>/);
      assert.ok(!failed.includes('an error page') && !failed.includes('<h1>'), failed);
      service.open = true;
      const wanted = await text('panel');
      await until(async () => rows(await read()) === wanted, 'the rows');
      assert.equal(await read('/banggia/fragments/panel'), '', 'only includes are let through');
      assert.ok(!(await read()).includes('>Giá vàng, tỷ giá, lãi suất</a>'), 'the link is not beside the rows');
      service.open = false;
      const asked = service.asked;
      await until(async () => {
        assert.equal(rows(await read()), wanted);
        return service.asked > asked + 1;
      }, 'it asked again, in vain');
      assert.equal(rows(await read()), wanted);
      await withPage({}, async (host, { heard, requests }) => {
        await host.goto(origin);
        assert.equal(await host.evaluate(() => getComputedStyle(document.querySelector('.bgia table')).borderCollapse), 'collapse', 'the style is there');
        assert.deepEqual(heard, []);
        assert.deepEqual(requests.filter((url) => !url.startsWith(`${origin}/`) && !url.startsWith(`${base}/`)), []);
      });
    } finally {
      await program.stop();
      await service.close();
    }
  });
});

describe('Varnish', () => {
  needing('varnishd', 'puts the rows into the page, the last ones while the service fails, and the link before there are any', async (varnish, folder) => {
    const service = await door();
    const site = await serve((path) => path === '/' && { headers: { 'Cache-Control': 'no-cache' }, body: page(recipe('esi page')) });
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const { host: own, hostname, port: number } = new URL(service.origin);
    const backends = recipe('esi vcl', service.origin).replace(`.host = "${own}"`, `.host = "${hostname}"`).replace('.port = "80"', `.port = "${number}"`);
    const vcl = join(folder, 'site.vcl');
    await writeFile(vcl, `vcl 4.1;\nbackend site { .host = "127.0.0.1"; .port = "${new URL(site.origin).port}"; }\n${backends}\nsub vcl_recv { set req.backend_hint = site; }\n`);
    const read = async (path = '/') => (await fetch(origin + path)).text();
    service.open = false;
    const program = await start(varnish, ['-F', '-n', join(folder, 'work'), '-a', `127.0.0.1:${port}`, '-f', vcl, '-s', 'malloc,8m', '-j', 'none'],
      { ready: async () => (await fetch(origin)).ok });
    try {
      const failed = await read();
      assert.match(failed, /<a href="[^"]*\/widgets\/panel">Giá vàng, tỷ giá, lãi suất<\/a>/);
      assert.ok(!failed.includes('an error page') && !failed.includes('Guru'), failed);
      service.open = true;
      const wanted = await text('panel');
      await until(async () => rows(await read()) === wanted, 'the rows');
      assert.equal((await fetch(`${origin}/banggia/fragments/panel`)).status, 404, 'only includes are let through');
      assert.ok(!/<esi:|>Giá vàng, tỷ giá, lãi suất<\/a>/.test(await read()), 'the link is not beside the rows');
      service.open = false;
      const asked = service.asked;
      await until(async () => {
        assert.equal(rows(await read()), wanted);
        return service.asked > asked + 1;
      }, 'it asked again, in vain');
      assert.equal(rows(await read()), wanted);
    } finally {
      await program.stop();
      await site.close();
      await service.close();
    }
  });
});

describe('PHP', () => {
  needing('php', 'puts the rows into the page, the last ones while the service fails, and the link before there are any', async (php, folder) => {
    const service = await door();
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const site = join(folder, 'site');
    const kept = join(folder, 'kept');
    for (const path of [site, kept]) await mkdir(path);
    const [code, ...rest] = recipe('php', service.origin).split('?>\n<link');
    await writeFile(join(site, 'index.php'), `${code}?>\n${page(`<link${rest.join('')}`)}`);
    // A minute is long for a test.
    const impatient = (await readFile(join(site, 'index.php'), 'utf8')).replace('< 60)', '< 0)');
    await writeFile(join(site, 'now.php'), impatient);
    const read = async (path = '/') => (await fetch(origin + path)).text();
    service.open = false;
    const program = await start(php, ['-d', `sys_temp_dir=${kept}`, '-d', 'display_errors=1', '-S', `127.0.0.1:${port}`, '-t', site], { ready: async () => (await fetch(`${origin}/none.txt`)).status === 404 || true });
    try {
      const failed = await read();
      assert.match(failed, /<a href="[^"]*\/widgets\/panel">Giá vàng, tỷ giá, lãi suất<\/a>/);
      assert.ok(!/an error page|Warning|Notice|Deprecated/.test(failed), failed);
      service.open = true;
      const wanted = await text('panel');
      assert.equal(rows(await read()), wanted);
      const asked = service.asked;
      assert.equal(rows(await read()), wanted);
      assert.equal(service.asked, asked, 'asked once a minute');
      service.open = false;
      assert.equal(rows(await read('/now.php')), wanted);
      assert.equal(service.asked, asked + 1, 'it asked again, in vain');
      assert.ok(!/Warning|Notice|Deprecated/.test(await read('/now.php')));
    } finally {
      await program.stop();
      await service.close();
    }
  });
});

describe('AMP', () => {
  it('has what the published rules of amp-iframe ask for, and tells its height in AMP\'s words', async () => {
    const block = recipe('amp');
    const frame = /<amp-iframe([^>]*)>(.*)<\/amp-iframe>/s.exec(block);
    const [, attributes, children] = frame;
    const value = (name) => new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1];
    assert.match(block, /^<script async custom-element="amp-iframe" src="https:\/\/cdn\.ampproject\.org\/v0\/amp-iframe-0\.1\.js"><\/script>/);
    assert.match(BLOCKS.get('amp'), /<amp-iframe src="https:\/\//, 'https is required');
    assert.deepEqual(value('sandbox').split(' ').filter((right) => !['allow-scripts', 'allow-popups'].includes(right)), [], 'the frame has an opaque origin');
    assert.ok(['fill', 'fixed', 'fixed-height', 'flex-item', 'intrinsic', 'nodisplay', 'responsive'].includes(value('layout')));
    assert.ok(Number(value('width')) > 0 && Number(value('height')) > 0, 'layout=fixed needs both');
    assert.ok(value('title'), 'frames have titles');
    if (/\bresizable\b/.test(attributes)) assert.match(children, /<div overflow tabindex="0" role="button" aria-label="[^"]+">/, 'what may be resized needs an overflow');
    assert.match(children, /<amp-img [^>]*\bplaceholder\b[^>]*><\/amp-img>/, 'near the top of a page it needs a placeholder');
    assert.match(children, /<amp-img [^>]*\bwidth="\d+" height="\d+" layout="[a-z]+" alt="[^"]+"/);
    assert.ok(!/\bstyle="|\bon[a-z]+="|javascript:/.test(block), 'AMP allows none of these');
    const picture = await fetch(/<amp-img src="([^"]*)"/.exec(children)[1]);
    assert.equal(picture.headers.get('content-type'), 'image/png');

    // What the element does with them: a frame with these rights, and messages of AMP's form from it alone.
    await withHost({ body: `<iframe src="${value('src')}" sandbox="${value('sandbox')}" title="t" width="${value('width')}" height="600" frameborder="0"></iframe>
      <script>
        addEventListener('message', ({ source, data }) => {
          const frame = document.querySelector('iframe');
          if (source !== frame.contentWindow || data?.sentinel !== 'amp' || data.type !== 'embed-size') return;
          frame.height = data.height;
        });
      </script>` }, async (host, record) => {
      await host.goto(record.origin);
      await assertFrames(host, ['panel']);
      await host.waitForFunction((height) => document.querySelector('iframe').clientHeight === height, Number(value('height')) + BAND);
      await assertQuiet(host, record);
    });
  });
});

describe('a newsletter', () => {
  it('shows the picture without JavaScript', () => withHost({ body: recipe('picture'), javaScriptEnabled: false }, async (host, record) => {
    await host.goto(record.origin);
    const { width, height } = await host.locator('img').boundingBox();
    assert.equal(width, 300);
    assert.ok(height > 900, `${height} px high`);
    await assertQuiet(host, record);
  }));

  it('gets a PNG of at most 40 kB, or 90 kB at twice the size', async () => {
    for (const [, address, limit] of [...recipe('picture').matchAll(/(http[^" ]*\/images\/[^" ]*)/g)].map(([, address]) => [0, address, address.includes('scale=2') ? 90_000 : 40_000])) {
      const bytes = Buffer.from(await (await fetch(address)).arrayBuffer());
      assert.equal(bytes.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
      assert.ok(bytes.length <= limit, `${address} has ${bytes.length} bytes`);
    }
  });
});

it('every marked block of the docs is executed', () => {
  assert.deepEqual([...BLOCKS.keys()].filter((name) => !executed.has(name)), []);
  assert.equal(DOCS.split('<!-- recipes.mjs:').length - 1, BLOCKS.size);
});
