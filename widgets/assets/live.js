// What the element loads where one has the attribute `live`: one stream of events a page, whatever how many listen. It only
// says when to ask again; the element asks, and goes on asking by itself where there is no stream.
const server = import.meta.url.split('/embed/')[0];
const kinds = { gold: 'gold', fx: 'fx', deposits: 'deposit' };
const told = new Set();
let stream;
let again;
let soon;

/** Gives the page's watch over its elements what opens and closes the stream: whenever it looks at them. */
export const look = (watched, tick) => {
  const listeners = () => [...watched.values()].filter(({ elements }) => [...elements].some((element) => element.hasAttribute('live')));

  // A board is told in many events and read once; many pages are told at once, and do not ask at once.
  const hear = ({ type, data }) => {
    told.add(type === 'reset' ? '' : JSON.parse(data).id.split('.')[1]);
    soon ||= setTimeout(() => {
      soon = 0;
      for (const feed of listeners()) {
        const [element] = feed.elements;
        const own = kinds[element.getAttribute('widget')];
        if (!own || told.has(own) || told.has('')) feed.due = 0;
      }
      told.clear();
      tick();
    }, Math.random() * 2000);
  };

  watched.look = () => {
    if (!listeners().length || Reflect.get(Document.prototype, 'hidden', document)) {
      clearTimeout(again);
      stream?.close();
      stream = again = 0;
    } else if (!stream && !again && globalThis.EventSource) {
      stream = new EventSource(`${server}/v1/events`);
      for (const type of ['quote.changed', 'quote.held', 'feed.stale', 'feed.recovered', 'reset']) stream.addEventListener(type, hear);
      stream.addEventListener('error', ({ target }) => {
        // A connection that broke comes back by itself; one that was refused does not.
        if (target !== stream || target.readyState !== 2) return;
        stream = 0;
        again = setTimeout(() => {
          again = 0;
          watched.look();
        }, 6e4 + Math.random() * 6e4);
      });
    }
  };
  tick();
};
