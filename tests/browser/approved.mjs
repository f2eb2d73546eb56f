// Pictures that somebody has looked at. A widget that is drawn otherwise fails here, with the difference as a picture.
//
//   UPDATE_APPROVED=1   takes what is drawn now. Look at every picture before it is committed.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import pixelmatch from 'pixelmatch';
import { PNG } from 'pngjs';
import { SHOTS_DIR, withBrowser, withPage } from './lib.mjs';
import { HOST_GROUND, serveStates } from './states.mjs';

const { UPDATE_APPROVED } = process.env;
const APPROVED = fileURLToPath(new URL('approved/', import.meta.url));
/** Of a hundred thousand pixels, so many may differ: a letter's edge, not a letter. */
const TOLERANCE = 30;

/** Nobody sees the last three bits of a letter's edge, and without them a picture is half as large. */
const rounded = (picture) => {
  for (let at = 0; at < picture.data.length; at += 1) picture.data[at] = Math.min(255, Math.round(picture.data[at] / 8) * 8);
  return picture;
};

/** Name: widget, state, language, theme, width, and what else is asked for. */
const PICTURES = [
  'panel fresh vi light 300', 'panel borrowed en dark 390', 'panel held vi light 680', 'panel fresh en light 1280', 'panel recorded vi transparent 300 dark',
  'panel columns4 vi auto 680', 'panel compact vi auto 300', 'panel fresh vi auto 300 print', 'panel stale vi dark 300 forced',
  'gold fresh vi light 300', 'gold expired en dark 390', 'gold fresh vi light 680', 'gold unavailable vi transparent 390 light',
  'fx fresh vi light 300', 'fx held en dark 390', 'fx fresh vi dark 680',
  'deposits fresh vi light 300', 'deposits borrowed en dark 390', 'deposits stale vi light 680',
  'chart month vi light 300', 'chart gap en dark 390', 'chart jump vi light 680', 'chart point vi dark 300', 'chart none en light 390', 'chart rates vi light 300',
  'chart month vi auto 300 print', 'chart gap vi dark 300 forced',
  'ticker fresh vi light 300', 'ticker stale en dark 680', 'ticker moving vi auto 680', 'ticker expired vi light 1280', 'ticker fresh vi auto 300 print',
];

withBrowser();

describe('drawn as approved', { concurrency: 2 }, () => {
  let states;
  let differences;
  before(async () => { states = await serveStates(); });
  after(() => states?.close());
  const keep = (name, picture) => {
    differences ??= SHOTS_DIR || mkdtempSync(join(tmpdir(), 'banggia-approved-'));
    const file = join(differences, `${name}.png`);
    writeFileSync(file, PNG.sync.write(picture));
    return file;
  };

  for (const picture of PICTURES) {
    const name = picture.replaceAll(' ', '-');
    const [widget, state, lang, theme, width, mode] = picture.split(' ');
    const scheme = mode === 'dark' || theme === 'dark' ? 'dark' : 'light';
    // The tape is drawn where it begins.
    it(picture, () => withPage({ width: Number(width), scheme, reducedMotion: state === 'moving' ? 'no-preference' : 'reduce', bypassCSP: true }, async (page) => {
      if (mode === 'print') await page.emulateMedia({ media: 'print' });
      if (mode === 'forced') await page.emulateMedia({ forcedColors: 'active' });
      await page.goto(`${states.origin}/${state}/widgets/${widget}?lang=${lang}&theme=${theme}`);
      // Machines differ in their fonts; this one they all have, see tests/run.
      await page.addStyleTag({ content: `.bgia, .bgia * { --bgia-font: "Noto Sans"; font-family: "Noto Sans" !important }${theme === 'transparent' ? `html { background: ${HOST_GROUND[scheme]} !important }` : ''}` });
      await page.evaluate(() => document.fonts.ready);
      const drawn = rounded(PNG.sync.read(await page.locator('.bgia').screenshot({ animations: 'disabled', caret: 'hide', scale: 'css' })));
      const file = join(APPROVED, `${name}.png`);
      if (UPDATE_APPROVED) return writeFileSync(file, PNG.sync.write(drawn, { colorType: 2, filterType: 0, deflateLevel: 9, deflateStrategy: 0 }));
      assert.ok(existsSync(file), `${file} is missing: UPDATE_APPROVED=1 takes what is drawn now`);
      const approved = PNG.sync.read(readFileSync(file));
      if (approved.width !== drawn.width || approved.height !== drawn.height) {
        assert.fail(`${drawn.width} × ${drawn.height} px, approved are ${approved.width} × ${approved.height}: ${keep(`${name}-actual`, drawn)}`);
      }
      const difference = new PNG({ width: drawn.width, height: drawn.height });
      const differing = pixelmatch(approved.data, drawn.data, difference.data, drawn.width, drawn.height, { threshold: 0.1 });
      if (differing > drawn.width * drawn.height * TOLERANCE / 100_000) {
        assert.fail(`${differing} pixels differ: ${keep(`${name}-actual`, drawn)} ${keep(`${name}-difference`, difference)}`);
      }
    }));
  }

  it('by few and small pictures', () => {
    const files = readdirSync(APPROVED);
    assert.deepEqual(files.sort(), PICTURES.map((picture) => `${picture.replaceAll(' ', '-')}.png`).sort());
    assert.ok(files.length <= 32);
    assert.ok(files.reduce((sum, file) => sum + statSync(join(APPROVED, file)).size, 0) < 700_000);
  });
});
