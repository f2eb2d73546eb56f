// The page in a frame. Without this script it is as complete; with it, it fits.
{
  const widget = document.querySelector('.bgia');
  const clean = (secret) => typeof secret === 'string' && /^[a-z0-9]{1,64}$/i.test(secret);
  let told = 0;
  // Whoever asks again is answered; whoever floods is not.
  let answers = 9;
  let secret = new URLSearchParams(location.hash.slice(1)).get('secret');
  // To whoever holds the frame: its size is no secret, and in a sandbox neither side has an origin to name.
  const tell = (message) => parent.postMessage(message, '*');
  const report = () => {
    const height = Math.ceil(widget.getBoundingClientRect().height);
    // A frame may be loaded before its page gave it a width, and is as high as its longest line has words then.
    if (!innerWidth || !height || Math.abs(height - told) < 2) return;
    told = height;
    tell({ type: 'bang-gia', height });
    // AMP
    tell({ sentinel: 'amp', type: 'embed-size', height });
    // Medium
    tell(JSON.stringify({ src: location.href, context: 'iframe.resize', height }));
    // WordPress
    if (clean(secret)) tell({ message: 'height', value: height, secret });
  };
  if (parent !== window) {
    addEventListener('message', ({ source, data }) => {
      if (source !== parent || !data || data.message !== 'ready' || !clean(data.secret) || answers-- < 1) return;
      secret = data.secret;
      told = 0;
      report();
    });
    // An observer says nothing in a frame that its page hides until it knows the height, as WordPress does, nor in one far
    // down the page. Such a frame looks at itself, ever more rarely, until it has its width.
    const look = (wait) => {
      report();
      if (wait < 6e4) setTimeout(look, wait, 2 * wait);
    };
    addEventListener('load', () => look(50));
    new ResizeObserver(report).observe(widget);
  }
  const build = ([tag, attributes, text]) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(text);
    return element;
  };
  const age = () => {
    const next = late(widget, Date.now() / 1000, build);
    if (next < Infinity) setTimeout(age, Math.min(next * 1000 - Date.now() + 50, 36e5));
  };
  age();
  // A timer does not run while the machine sleeps.
  document.addEventListener('visibilitychange', age);
}
