// On a new step: up to its top, and the focus on its heading, so that a screen reader begins there.
const at = new WeakMap();
export default function ({ data, parentElement }) {
  if (at.get(parentElement) === data.move) return;
  const first = !at.has(parentElement) && data.move === 0;
  at.set(parentElement, data.move);
  if (first) return;
  requestAnimationFrame(() => {
    document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
    const heading = document.querySelector('[data-testid="stMain"] :is(h1, h2, .banner .head)');
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({ preventScroll: true });
  });
}
