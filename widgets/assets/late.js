// A document says when its figures grow old and never how old they are: a copy in somebody's cache must not lie. So
// whoever shows it marks what is old (data-f) or no longer to be shown (data-e), in the words of its language
// (data-late), without moving anything. `build` makes an element of its tag, attributes and text. Returns the second at which there is more to do.
const late = (root, now, build) => {
  const words = (root.dataset.late || '').split('|');
  let next = Infinity;
  for (const line of root.querySelectorAll('[data-f]')) {
    const { s, f, e } = line.dataset;
    const gone = now >= e;
    next = Math.min(next, now < f ? f : gone ? next : e);
    if (now < f || line.dataset.is === `${gone}`) continue;
    line.dataset.is = gone;
    const when = line.querySelector('.bgia-when');
    when.replaceChildren(' · ', build(['b', {}, words[gone ? 2 : 0]]), words[gone ? 3 : 1], when.querySelector('time') || '');
    const section = line.closest('.bgia-sec');
    for (const mark of section.querySelectorAll('.bgia-best')) mark.className = '';
    for (const cell of section.querySelectorAll(`[data-s="${s}"]:not([data-f])`)) {
      const change = cell.querySelector('.bgia-chg');
      const figure = cell.querySelector('.bgia-lead, [translate]') || cell;
      // A column of changes has nothing else to say; elsewhere an empty line keeps the height.
      if (cell.matches('td.bgia-p3')) cell.replaceChildren();
      else {
        change?.classList.remove('bgia-up', 'bgia-down');
        change?.replaceChildren('\u00a0');
        figure.classList.add(gone ? 'bgia-none' : 'bgia-old');
        if (gone) {
          const dash = build(['span', { 'aria-hidden': 'true' }, '–']);
          figure.replaceChildren(dash, build(['span', { class: 'bgia-vh' }, words[4]]), figure === cell && change || '');
        }
      }
    }
  }
  return next;
};
