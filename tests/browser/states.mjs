// The states that the example wrote, served as a service would serve them, and how to choose among them.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { FULL, STATES_DIR, base, serve } from './lib.mjs';

/** One of `pages.json`: `{ file, widget, state, lang, theme, style, script, heights: { width: px } }`. */
export const pages = STATES_DIR ? JSON.parse(await readFile(join(STATES_DIR, 'pages.json'), 'utf8')) : [];
export const WIDGETS = ['panel', 'gold', 'fx', 'deposits', 'ticker', 'chart'];
export const LANGS = ['vi', 'en'];
export const THEMES = ['light', 'dark', 'auto', 'transparent'];
export const SCHEMES = ['light', 'dark'];
/** The cream and the navy of the visual reference. */
export const HOST_GROUND = { light: '#f3ecdc', dark: '#14233b' };

const keyed = new Map(pages.map((page) => [page.file.replace(/\.html$/, ''), page]));
export const stem = ({ widget, state, lang, theme }) => `${widget}-${state}-${lang}-${theme}`;
/** The page of a cell, if the example wrote one. */
export const pageOf = (cell) => keyed.get(stem(cell));
export const written = (cell, ending) => readFile(join(STATES_DIR, `${stem(cell)}${ending}`), 'utf8');

/** The policy a service sends: only the style and the script whose hashes the page came with. */
export const policyOf = ({ style, script }) => `default-src 'none'; style-src '${style}'; script-src '${script}'; frame-ancestors *`;

/**
 * Cells `{ parameter: value }` in which every pair of values of two parameters that can meet does meet, few of them: always the
 * cell that shows most pairs not seen yet; of several, the one whose values were chosen least, then the first. The same on every
 * run and machine. All cells when FULL=1.
 */
export function pairwise(parameters, possible = () => true, most = 160) {
  const names = Object.keys(parameters);
  const cells = names.reduce((cells, name) => cells.flatMap((cell) => parameters[name].map((value) => ({ ...cell, [name]: value }))), [{}])
    .filter(possible);
  if (FULL) return cells;
  const numbers = new Map();
  const number = (pair) => numbers.get(pair) ?? numbers.set(pair, numbers.size).get(pair);
  const pairs = cells.map((cell) => names.flatMap((one, at) => names.slice(at + 1).map((other) =>
    number(`${one}=${cell[one]} ${other}=${cell[other]}`))));
  const unseen = new Uint8Array(numbers.size).fill(1);
  const used = new Map(names.flatMap((name) => parameters[name].map((value) => [`${name}=${value}`, 0])));
  const chosen = [];
  for (let left = numbers.size; left > 0;) {
    let best = 0;
    let gain = 0;
    let least = Infinity;
    pairs.forEach((met, at) => {
      const shows = met.reduce((sum, pair) => sum + unseen[pair], 0);
      if (shows < gain || shows === 0) return;
      const uses = names.reduce((sum, name) => sum + used.get(`${name}=${cells[at][name]}`) / parameters[name].length, 0);
      if (shows > gain || uses < least) [best, gain, least] = [at, shows, uses];
    });
    for (const pair of pairs[best]) unseen[pair] = 0;
    for (const name of names) used.set(`${name}=${cells[best][name]}`, used.get(`${name}=${cells[best][name]}`) + 1);
    left -= gain;
    chosen.push(cells[best]);
    if (chosen.length > most) throw new Error(`more than ${most} cells are needed`);
  }
  return chosen;
}

/** What every answer to other sites' pages carries. */
const OPEN = { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin', 'Cache-Control': 'public, max-age=60' };

/**
 * The service in each of the states: `/{state}/widgets/gold?lang=vi&theme=auto` and so on, the element's script and the style
 * of fragments under the same prefix, since the element asks where its script came from. Of a service in trouble only the
 * script and the style are there: `/busy/…` answers 503, `/gone/…` closes the connection.
 */
export const serveStates = () => serve(async (path, url, request) => {
  const answer = await stateOf(path, url, request);
  if (!answer?.body || !/\bbr\b/.test(request.headers['accept-encoding'])) return answer;
  // As small on the wire as the service makes it: on a slow line it matters.
  const body = brotliCompressSync(answer.body, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
  return { ...answer, headers: { ...answer.headers, 'Content-Encoding': 'br', Vary: 'Accept-Encoding' }, body };
});

async function stateOf(path, url, request) {
  const [, state, folder, file] = path.split('/');
  if (folder === 'embed') {
    const type = file === 'v1.js' ? 'text/javascript' : file === 'v1.css' ? 'text/css' : undefined;
    return type && { headers: { ...OPEN, 'Content-Type': `${type}; charset=utf-8` }, body: await readFile(join(STATES_DIR, file)) };
  }
  if (state === 'gone') return request.socket.destroy(), { body: '' };
  if (state === 'busy') return { status: 503, headers: { ...OPEN, 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store' }, body: '{"status":503}' };
  const [widget, ending] = file?.split('.') ?? [];
  const cell = { widget, state, lang: url.searchParams.get('lang') ?? 'vi', theme: url.searchParams.get('theme') ?? 'auto' };
  const page = pageOf(cell);
  if (!page) return undefined;
  switch (`${folder}.${ending ?? ''}`) {
    case 'widgets.':
      return { headers: { ...OPEN, 'Cross-Origin-Embedder-Policy': 'require-corp', 'Content-Security-Policy': policyOf(page) }, body: await written(cell, '.html') };
    case 'fragments.': return { headers: OPEN, body: await written(cell, '.fragment.html') };
    case 'fragments.json': return { headers: { ...OPEN, 'Content-Type': 'application/json' }, body: await written(cell, '.json') };
    case 'images.svg': return { headers: { ...OPEN, 'Content-Type': 'image/svg+xml; charset=utf-8' }, body: await written(cell, '.svg') };
    default: return undefined;
  }
}

/**
 * Waits until the running service has figures of every source: a first fetch may still be on its way when the tests begin.
 */
export async function serviceIsFilled() {
  for (let left = 300; left > 0; left -= 1) {
    const { feeds } = await (await fetch(`${base}/v1/feeds`)).json();
    if (feeds.every(({ status }) => status !== 'unavailable')) return;
    await new Promise((turn) => setTimeout(turn, 50));
  }
  throw new Error('a source of the running service has no figures');
}

/** The words of a fragment, without white space, as `textContent` has them in every way in. */
export const wordsOf = (page, html) => page.evaluate((html) =>
  new DOMParser().parseFromString(html, 'text/html').querySelector('.bgia').textContent.replace(/\s+/g, ''), html);
