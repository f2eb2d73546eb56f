// The custom element <bang-gia>. It runs under the strictest policy of the page around it: nodes are made one by one, the
// style is a constructed sheet, nothing is stored, nobody but its own server is asked. Documents look up what pages name
// (<img name="createElement">) before what they can do: so methods and properties are taken from prototypes.
const [server] = import.meta.url.split('/embed/');
const options = 'accent at channel compact currencies customer from lang link motion places preset products providers range rows series terms theme title to transparent unit'.split(' ');
const parts = { TABLE: 'table', TR: 'row', 'bgia-cap': 'caption', 'bgia-up': 'up', 'bgia-down': 'down', 'bgia-old': 'stale', 'bgia-foot': 'source' };
const sheet = (text, made = new CSSStyleSheet()) => {
  made.replaceSync(text);
  return made;
};
// Inherited properties of the page around would come in, all but whether it is to be seen.
const base = sheet(`.bgia{all:initial;display:block;direction:ltr;visibility:inherit}STYLE`);

const build = (node, svg) => {
  if (typeof node === 'string') return node;
  const [tag, attributes, ...children] = node;
  svg ||= tag === 'svg';
  const element = Document.prototype.createElementNS.call(document, `http://www.w3.org/${svg ? '2000/svg' : '1999/xhtml'}`, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  const part = [element.tagName, ...element.classList].map((name) => parts[name]).filter(Boolean);
  if (part[0]) element.setAttribute('part', part.join(' '));
  for (const child of children) element.append(build(child, svg));
  return element;
};

// One poller a page: each address once, however many elements show it; only while somebody looks.
const watched = new Map();
let timer;

const refresh = async (address, feed) => {
  feed.due = Infinity;
  let pause = 60;
  try {
    const answer = await fetch(address, { __proto__: null, cache: feed.text ? 'no-cache' : 'default', credentials: 'omit', referrerPolicy: 'no-referrer' });
    pause = Math.max(pause, /max-age=(\d+)/.exec(answer.headers.get('cache-control'))?.[1] || 0);
    const text = await answer.text();
    if (answer.ok && text !== feed.text) {
      feed.tree = JSON.parse(feed.text = text);
      for (const element of feed.elements) element.show(feed);
    }
  } catch {
    // What is shown stays, and grows old in plain sight.
  }
  feed.due = Date.now() + pause * (900 + Math.random() * 200);
  tick();
};

const tick = () => {
  clearTimeout(timer);
  watched.look?.();
  const now = Date.now();
  let next = now + 1e6;
  if (!watched.size || Reflect.get(Document.prototype, 'hidden', document)) return;
  for (const [address, feed] of watched) {
    if (feed.due <= now) refresh(address, feed);
    next = Math.min(next, feed.due);
    for (const element of feed.elements) next = Math.min(next, element.age() * 1000 + 50);
  }
  timer = setTimeout(tick, next - now);
};

class BangGia extends HTMLElement {
  static observedAttributes = ['widget', 'live', ...options];
  #root = this.attachShadow({ mode: 'open' });
  #widget;
  #address;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [base];
    // Until there is something to show, what the page has put inside is.
    this.#root.append(build(['slot', {}]));
  }

  connectedCallback() {
    // Without it the element goes on asking by itself.
    if (this.hasAttribute('live')) import('./LIVE').then(({ look }) => look(watched, tick), tick);
    const query = new URLSearchParams(options.filter((name) => this.hasAttribute(name)).map((name) => [name, this.getAttribute(name) || 1]));
    const address = `${server}/fragments/${this.getAttribute('widget') || 'panel'}.json?${query}`;
    if (address === this.#address) return;
    this.disconnectedCallback();
    this.#address = address;
    const feed = watched.get(address) || { elements: new Set(), due: 0 };
    watched.set(address, feed);
    feed.elements.add(this);
    if (feed.tree) this.show(feed);
    queueMicrotask(tick);
  }

  disconnectedCallback() {
    const feed = watched.get(this.#address);
    feed?.elements.delete(this);
    if (!feed?.elements.size) watched.delete(this.#address);
    tick(this.#address = 0);
  }

  attributeChangedCallback() { if (this.#address) this.connectedCallback(); }

  show({ tree: [style, tree] }) {
    this.#root.adoptedStyleSheets = [base, sheet(style)];
    this.#widget = build(tree);
    const accent = this.getAttribute('accent');
    if (accent) this.#widget.style.setProperty('--bang-gia-accent', accent.replace(/^#?/, '#'));
    this.#root.replaceChildren(this.#widget);
    this.age();
  }

  age() { return this.#widget ? late(this.#widget, Date.now() / 1000, build) : Infinity; }
}

// It bubbles.
addEventListener('visibilitychange', tick);
customElements.get('bang-gia') || customElements.define('bang-gia', BangGia);
