// The operator's console, as it comes to a browser without scripts: signing in, tuning a feed, deciding on a held value, by
// keyboard alone, on a phone and on a desk; and what a page of another site can do about it.
// Environment: lib.mjs, hosting.mjs.

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { axe, shot, withBrowser, withPage } from './lib.mjs';
import { startService, until, withHost } from './hosting.mjs';

withBrowser();

/** Every visible character that may do harm in markup or in a form. */
const TOKEN = `a"b'c<d>&amp;e+f%20g=h;i/j`;
const RECORDINGS = new URL('../../providers/fixtures/replay', import.meta.url);
const FEEDS = ['doji.gold', 'tpbank.gold', 'bidv.fx', 'bidv.deposit', 'vietcombank.fx', 'ocb.deposit'];

let folder, config, service, console_;

/** Recordings whose second day brings a slip of the unit, a step, and a bank whose page is broken. */
async function troubled() {
  const replay = join(folder, 'replay');
  await cp(RECORDINGS, replay, { recursive: true });
  const change = async (name, edit) => writeFile(join(replay, name), edit(await readFile(join(replay, name), 'utf8')));
  await change('tpbank/gold.chart.2026-09-30T1005.json', (text) => text.replace('"09/30/2026","RATE_BUY":139200000,"RATE_SELL":142300000', '"09/30/2026","RATE_BUY":167838000,"RATE_SELL":171576100'));
  await change('vietcombank/fx.json.2026-09-30T1005.json', (text) => text.replace('"cash":"29880.24","transfer":"30182.06","sell":"31456.30"', '"cash":"31075.45","transfer":"31389.34","sell":"32714.55"'));
  for (const name of ['cafef.2026-09-30T1005.json', 'table.2026-09-30T1005.html', 'widget.2026-09-30T1005.html']) {
    await change(`ocb/deposit.${name}`, () => '<!doctype html><title>404</title><h1>Không tìm thấy trang</h1>');
  }
  return replay;
}

const write = (more = '') => writeFile(config, `[store]\nurl = "sqlite:${join(folder, 'console.db')}"\n[admin]\noverrides = "${join(folder, 'overrides.toml')}"\n${more}`);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'banggia-console-'));
  config = join(folder, 'banggia.toml');
  await write();
  service = await startService(folder, { replay: await troubled(), config, env: { BANGGIA_SECRETS__ADMIN_TOKEN: TOKEN } });
  const [, ops] = /ops listener on (http:\S+)/.exec(service.said());
  console_ = `${ops}/admin`;
});
after(async () => {
  await service?.stop();
  await rm(folder, { recursive: true, force: true });
});

const api = async (path, body) => {
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  const answer = await fetch(`${console_}/${path}`, body ? { method: 'POST', headers, body: JSON.stringify(body) } : { headers });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
};
const feed = (id) => api(`feeds/${id}`);

async function signIn(page, lang = 'vi') {
  await page.goto(`${console_}?lang=${lang}`);
  await page.fill('#token', TOKEN);
  await press(page, page.locator('form.enter button'));
  await page.waitForSelector('#feeds');
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
/** Does what brings another page, and waits until all of that is there: not every look at a page waits for what it looks for. */
const leads = async (page, act) => {
  const loaded = page.waitForEvent('load');
  await act();
  await loaded;
};
const press = (page, control) => leads(page, () => control.click());
const said = (page) => page.locator('.note').first().innerText();

/** A session without any script. */
const quiet = (options, test) => withPage({ width: 1280, javaScriptEnabled: false, ...options }, async (page, record) => {
  await test(page, record);
  // What is refused has a status of its own; who goes on quickly does not wait for the icon.
  assert.deepEqual(record.heard.filter((line) => !/status of 4\d\d|ERR_ABORTED/.test(line)), [], 'the browser complains');
  const origin = new URL(console_).origin;
  assert.deepEqual(record.requests.filter((url) => !url.startsWith(origin)), [], 'somebody else is asked');
  assert.deepEqual(await record.context.cookies(), [], 'there is a cookie');
});

/** Presses Tab until the element of this name has the focus, with an outline around it. */
async function tabTo(page, name) {
  for (let stop = 0; stop < 120; stop += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const label = element.labels?.[0]?.textContent ?? element.textContent;
      return { name: label.trim().replace(/\s+/g, ' '), outline: `${outlineStyle} ${outlineWidth}` };
    });
    if (at.name === name) {
      assert.equal(at.outline, 'solid 2px', `${name} does not show the focus`);
      return;
    }
  }
  assert.fail(`Tab does not come to ${name}`);
}

describe('the console', () => {
  it('asks for the token, tells nothing before it has it, and never repeats a wrong one', () => quiet({ width: 390 }, async (page) => {
    const answer = await page.goto(console_);
    assert.equal(answer.status(), 200);
    const text = await page.locator('body').innerText();
    for (const word of [...FEEDS, 'banggia.toml', '0.1.0']) assert.ok(!text.includes(word), word);
    await page.fill('#token', 'not-the-token-"><i>');
    await press(page, page.locator('form.enter button'));
    assert.match(await page.locator('[role=alert]').innerText(), /Mã không đúng/);
    assert.ok(!(await page.content()).includes('not-the-token'));
    assert.equal(await page.locator('#token').inputValue(), '');
    await page.fill('#token', TOKEN);
    await press(page, page.locator('form.enter button'));
    assert.deepEqual(await page.locator('.feed h3').allInnerTexts(), FEEDS);
    assert.equal(new URL(page.url()).search, '', 'the token is in no address');
    assert.deepEqual(await page.locator('script').count(), 0);
    await press(page, page.getByRole('button', { name: 'English' }));
    assert.equal(await page.locator('html').getAttribute('lang'), 'en');
    assert.deepEqual(await page.locator('.feed h3').allInnerTexts(), FEEDS);
    await press(page, page.getByRole('link', { name: 'Leave' }));
    await page.waitForSelector('#token');
    assert.match(page.url(), /lang=en$/);
  }));

  it('is worked by keyboard alone, without JavaScript: a schedule is looked at, changed and taken back, a feed paused and resumed', () => quiet({}, async (page) => {
    await page.goto(`${console_}?lang=en`);
    await page.waitForSelector('#token:focus');
    await page.keyboard.type(TOKEN);
    await leads(page, () => page.keyboard.press('Enter'));
    await page.waitForSelector('#feeds');
    const runs = () => page.locator('#feed-bidv\\.fx .plan .runs li').allInnerTexts();
    const usual = await runs();
    assert.equal(usual.length, 5);

    await tabTo(page, 'Change the schedule bidv.fx');
    await page.keyboard.press('Enter');
    await tabTo(page, 'New schedule of bidv.fx');
    await page.keyboard.press('Control+a');
    await page.keyboard.type('7 3 * * *');
    // Return shows what would be, and changes nothing.
    await leads(page, () => page.keyboard.press('Enter'));
    await page.waitForSelector('.note');
    assert.match(await said(page), /If bidv\.fx ran by 7 3 \* \* \*/);
    const would = await page.locator('.note .runs li').allInnerTexts();
    assert.ok(would.every((run) => run.includes('03:07')), would.join());
    assert.deepEqual(await runs(), usual);
    assert.equal((await feed('bidv.fx')).schedule, '*/10 8-17 * * Mon-Fri');

    await tabTo(page, 'Until the next restart');
    await page.keyboard.press('ArrowDown');
    await tabTo(page, 'Apply bidv.fx');
    await leads(page, () => page.keyboard.press('Enter'));
    await page.waitForSelector('.note[role=status]');
    assert.match(await said(page), /bidv\.fx runs by 7 3 \* \* \* now, for good\./);
    assert.deepEqual(await runs(), would);
    assert.match(await page.locator('#feed-bidv\\.fx .plan').innerText(), /on this page, for good \(.*overrides\.toml:\d+\)/);
    assert.match(await readFile(join(folder, 'overrides.toml'), 'utf8'), /schedule = "7 3 \* \* \*"/);

    await tabTo(page, 'Pause for now bidv.fx');
    await leads(page, () => page.keyboard.press('Space'));
    await page.waitForSelector('#feed-bidv\\.fx .strong');
    assert.match(await page.locator('#feed-bidv\\.fx').innerText(), /Paused[^]*Does not run until it is resumed/);
    assert.match(await page.title(), /1 paused/);
    assert.equal((await feed('bidv.fx')).paused, true);
    await tabTo(page, 'Resume bidv.fx');
    await leads(page, () => page.keyboard.press('Enter'));
    await page.waitForSelector('#feed-bidv\\.fx .runs');
    assert.deepEqual(await runs(), would);

    await tabTo(page, 'Change the schedule bidv.fx');
    await page.keyboard.press('Enter');
    await tabTo(page, "Back to the configuration's bidv.fx");
    await leads(page, () => page.keyboard.press('Enter'));
    await page.waitForSelector('.note[role=status]');
    assert.match(await page.locator('#feed-bidv\\.fx .plan').innerText(), /\*\/10 8-17 \* \* Mon-Fri[^]*by default/);
    const acts = await page.locator('.audit tbody tr td:nth-child(2)').allInnerTexts();
    assert.deepEqual(acts.slice(0, 4), ['Schedule bidv.fx', 'Resume bidv.fx', 'Pause bidv.fx', 'Schedule bidv.fx']);
  }));

  it('keeps what was typed where it was wrong, and says what is allowed', () => quiet({ width: 390 }, async (page) => {
    await signIn(page);
    await page.locator('#feed-doji\\.gold summary').click();
    const field = page.getByLabel('Lịch mới của doji.gold');
    const wrong = '*/10 8-99 * * "><script>alert(1)</script>';
    await field.fill(wrong);
    await page.locator('#feed-doji\\.gold').getByLabel('Lâu dài').check();
    await press(page, button(page, 'Áp dụng doji.gold'));
    assert.match(await page.locator('.note[role=alert]').innerText(), /Không thực hiện được[^]*feeds\.doji\.gold\.schedule[^]*allowed are five fields/);
    assert.match(await page.title(), /^Không thực hiện được: Đổi lịch doji\.gold · /);
    assert.equal(await field.inputValue(), wrong);
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    assert.ok(await page.locator('#feed-doji\\.gold').getByLabel('Lâu dài').isChecked());
    assert.equal(await page.locator('script').count(), 0);
    await page.getByRole('link', { name: 'Sửa lại' }).click();
    assert.ok(await field.isVisible());
    assert.equal((await feed('doji.gold')).schedule, '*/10 8-18 * * Mon-Sat');
  }));

  /** Everything that may be on the page at once. */
  async function trouble() {
    for (const id of ['tpbank.gold', 'vietcombank.fx', 'ocb.deposit']) await until(async () => (await api('audit')).acts.some(({ action, target }) => action === 'refresh' && target === id) || (await api(`feeds/${id}/refresh`, {})), id);
    await api('feeds/ocb.deposit/pause', {});
    await api('feeds/bidv.fx/schedule', { schedule: '*/20 8-17 * * Mon-Fri', persist: true });
  }

  it('fits, and is accessible, at every width, in both schemes and languages, with all that can be wrong on it', async () => {
    await trouble();
    for (const [width, scheme, lang] of [[320, 'light', 'vi'], [390, 'light', 'vi'], [390, 'dark', 'en'], [1280, 'light', 'en'], [1280, 'dark', 'vi']]) {
      const where = `${width} px, ${scheme}, ${lang}`;
      const check = async (page, name) => {
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${name} scrolls sideways at ${where}`);
        const small = await page.evaluate(() => [...document.querySelectorAll('button, input:not([type=hidden]), summary, nav a, .note a')].map((element) => {
          // A choice is as large as its label.
          const { height, width } = (element.matches('[type=radio]') ? element.closest('label') : element).getBoundingClientRect();
          return { height, width, html: element.outerHTML.slice(0, 90) };
        }).filter(({ height, width }) => height > 0 && (height < 43.5 || width < 43.5)).map(({ height, width, html }) => `${width} x ${height} ${html}`));
        assert.deepEqual(small, [], `${name} has small targets at ${where}`);
        assert.deepEqual(await axe(page), [], `${name} at ${where}`);
        await shot(page, `console-${name}-${width}-${scheme}-${lang}`);
      };
      await withPage({ width, scheme, bypassCSP: true }, async (page) => {
        await page.goto(`${console_}?lang=${lang}`);
        await check(page, 'sign-in');
        await signIn(page, lang);
        await check(page, 'all');
        await page.locator('#feed-bidv\\.fx summary').click();
        await page.locator('#schedule-bidv\\.fx').fill('often');
        await press(page, page.locator('#feed-bidv\\.fx button[value=schedule]'));
        await check(page, 'refused');
        await write('\n[feeds.bidv.fx]\nschedul = "*/5 * * * *"\n');
        await press(page, page.locator('button[value=reload]'));
        await check(page, 'reload-refused');
        await press(page, page.locator('.act button[value=show]'));
        await page.waitForSelector('#refused');
        await check(page, 'config-refused');
        await write();
        await press(page, page.locator('button[value=reload]'));
      });
    }
    await api('feeds/ocb.deposit/resume', {});
    await api('feeds/bidv.fx/schedule', { schedule: null });
  });

  it('shows both values of what is held, and a decision on them', () => quiet({}, async (page) => {
    await signIn(page);
    for (const id of ['tpbank.gold', 'vietcombank.fx']) {
      await until(async () => (await feed(id)).held.length > 0 || (await press(page, button(page, `Đọc ngay ${id}`))), 'a held value');
    }
    await press(page, button(page, 'Xem lại'));
    const hold = page.locator('.hold', { hasText: 'tpbank.gold.bar' });
    assert.match(await page.title(), /2 giá đang giữ/);
    const rows = await hold.locator('tbody tr').allInnerTexts();
    assert.deepEqual(rows.map((row) => row.replace(/\s+/g, ' ').trim()), [
      'Mua 139.200.000 167.838.000 ▲ +20,6%', 'Bán 142.500.000 171.576.100 ▲ +20,4%',
    ]);
    assert.match(await hold.innerText(), /looks like ounce for lượng[^]*chỉ người điều hành mới cho qua được/);
    // The filled one is what the evidence supports.
    assert.equal(await button(page, 'Bỏ giá mới tpbank.gold.bar').getAttribute('class'), null);
    assert.equal(await button(page, 'Nhận giá mới tpbank.gold.bar').getAttribute('class'), 'quiet');
    await press(page, button(page, 'Bỏ giá mới tpbank.gold.bar'));
    assert.match(await said(page), /Đã bỏ giá mới của tpbank\.gold\.bar/);
    assert.match(await page.title(), /1 giá đang giữ/);
    assert.match(await hold.innerText(), /Đã bỏ, nguồn vẫn báo/);
    await press(page, button(page, 'Nhận giá mới vietcombank.fx.EUR'));
    assert.match(await said(page), /Đã nhận giá mới của vietcombank\.fx\.EUR/);
    const fx = await (await fetch(`${service.origin}/v1/fx?providers=vietcombank&currencies=EUR`)).json();
    assert.equal(fx.quotes[0].sell, '32714.55');
    assert.match(await page.locator('.audit tbody tr').first().innerText(), /Nhận giá vietcombank\.fx\.EUR[^]*xong[^]*31414[^]*32714\.55/);
  }));

  it('tells a configuration that was refused in full until a good one is read', () => quiet({ width: 390 }, async (page) => {
    await signIn(page, 'en');
    await write('\n[feeds.bidv.fx]\nschedul = "*/5 * * * *"\nmax_jump = "much"\n');
    await press(page, button(page, 'Read the configuration again'));
    assert.match(await page.locator('.note[role=alert]').innerText(), /Not done[^]*The old one stays in force[^]*banggia\.toml:7[^]*schedul[^]*schedule/);
    await press(page, button(page, 'Show again'));
    assert.match(await page.locator('.note.refused').innerText(), /The new configuration was refused[^]*banggia\.toml:7/);
    assert.match(await page.title(), /^The new configuration was refused/);
    await write('\n[feeds.bidv.fx]\nschedule = "*/5 8-17 * * Mon-Fri"\n');
    await press(page, button(page, 'Read the configuration again'));
    assert.match(await said(page), /1 change:[^]*feeds\.bidv\.fx\.schedule/);
    assert.match(await page.locator('#feed-bidv\\.fx .plan').innerText(), /banggia\.toml:7/);
    assert.equal(await page.locator('.note.refused').count(), 0);
    await write();
    await press(page, button(page, 'Read the configuration again'));
  }));

  it('lets no form of its own page be filled with a script of a source or of whoever typed', () => quiet({}, async (page) => {
    const dialogs = [];
    page.on('dialog', (dialog) => { dialogs.push(dialog.message()); return dialog.dismiss(); });
    await signIn(page);
    const shape = () => page.evaluate(() => [...new Set([...document.querySelectorAll('*')].map(({ tagName }) => tagName))].sort().join());
    const plain = await shape();
    for (const payload of ['"><img src=x onerror=alert(1)>', '</textarea><script>alert(2)</script>', '\u202e<svg onload=alert(3)>', "'-alert(4)-'"]) {
      await page.locator('#feed-doji\\.gold summary').click();
      await page.locator('#schedule-doji\\.gold').fill(payload);
      await press(page, button(page, 'Áp dụng doji.gold'));
      assert.equal(await page.locator('#schedule-doji\\.gold').inputValue(), payload);
      assert.equal(await shape(), plain, payload);
      await press(page, button(page, 'Xem lại'));
    }
    assert.deepEqual(dialogs, []);
  }));
});

describe('a page of another site', () => {
  const acts = async () => (await api('audit')).acts.length;

  it('A-17 cannot act in the console with a form, with a script, or with the token itself', async () => {
    const before = await acts();
    const schedule = (await feed('doji.gold')).schedule;
    const safe = TOKEN.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
    const forms = ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data'].flatMap((kind) => ['', '/reload', '/feeds/doji.gold/pause'].map((path) =>
      `<form method="post" enctype="${kind}" action="${console_}${path}" target="answer"><input name="access_token" value="${safe}"><input name="do" value="pause"><input name="feed" value="doji.gold"><button>${kind} ${path}</button></form>`));
    await withHost({ body: `${forms.join('')}<iframe name="answer" title="t"></iframe>` }, async (page, { origin }) => {
      const statuses = [];
      page.on('response', (response) => { if (response.url().startsWith(console_)) statuses.push(response.status()); });
      for (let at = 0; at < forms.length; at += 1) {
        await page.goto(origin);
        await page.locator('form button').nth(at).click();
        await until(() => statuses.length > at, 'an answer');
      }
      assert.deepEqual(statuses, forms.map(() => 403));
      for (const options of [
        { mode: 'no-cors', method: 'POST', body: new URLSearchParams({ access_token: TOKEN, do: 'reload' }).toString(), headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, credentials: 'include' },
        { mode: 'cors', method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${TOKEN}` } },
        { mode: 'cors', headers: { Authorization: `Bearer ${TOKEN}` } },
      ]) {
        const read = await page.evaluate(async ([url, options]) => {
          try {
            return (await (await fetch(url, options)).text()).length;
          } catch {
            return 0;
          }
        }, [`${console_}${options.mode === 'cors' ? '/reload' : ''}`, options]);
        assert.equal(read, 0, JSON.stringify(options));
      }
    });
    assert.equal(await acts(), before);
    assert.deepEqual([(await feed('doji.gold')).paused, (await feed('doji.gold')).schedule], [false, schedule]);
  });

  it('A-18 cannot show the console in a frame', () => withHost({ body: `<iframe title="t" src="${console_}"></iframe>` }, async (page, { origin, heard }) => {
    await page.goto(origin);
    const frame = await until(() => page.frames()[1], 'a frame');
    await until(() => frame.url().startsWith('chrome-error:'), 'the refusal');
    assert.match(heard.join(), /frame-ancestors/);
  }));
});
