// The history. `element`, `trigger` and `watch` are Gradio's (gr.HTML). The rows come from the
// server (demos/history_view.py) whenever something changed; here lies which of them are ticked, and
// where the keyboard is.
const ticked = new Set();  // ids, in the order in which they were ticked
let at = null;  // the control that has the focus, as a selector

const rowOf = (node) => node.closest('tr[data-run]');
const name = (node) => {
  const run = node.dataset.run || rowOf(node)?.dataset.run;
  const kind = node.matches('input') ? 'input' : `[data-do="${node.dataset.do}"]`;
  if (rowOf(node)) return `tr[data-run="${run}"] ${kind}`;
  return kind + (node.dataset.run ? `[data-run="${run}"]` : '');
};

function showTicks() {
  for (const box of element.querySelectorAll('.tick input'))
    box.checked = ticked.has(rowOf(box).dataset.run);
  const told = element.querySelector('.picked');
  if (!told) return;
  told.textContent = ticked.size ? `${ticked.size} ticked` : 'Tick two or more to compare them.';
  element.querySelector('[data-do="compare"]').disabled = ticked.size < 2;
  element.querySelector('[data-do="untick"]').hidden = !ticked.size;
}

function choose(row) {
  for (const one of element.querySelectorAll('[aria-current]')) one.removeAttribute('aria-current');
  row.setAttribute('aria-current', 'true');
  row.querySelector('.open').setAttribute('aria-current', 'true');
  trigger('select', {run: row.dataset.run});
}

const acts = {
  open: (node) => choose(rowOf(node)),
  turn: (node) => trigger('apply', {page: Number(node.dataset.page)}),
  undo: (node) => trigger('undo', {run: node.dataset.run}),
  free: () => trigger('clear', {}),
  compare: () => trigger('submit', {runs: [...ticked]}),
  untick: () => { ticked.clear(); showTicks(); trigger('submit', {runs: []}); },
};

element.addEventListener('click', ({target}) => {
  const node = target.closest('[data-do]');
  if (node) return acts[node.dataset.do](node);
  const row = rowOf(target);
  if (target.closest('.tick')) {  // the whole cell is the box: a finger is wide
    if (!target.matches('input')) target.closest('.tick').querySelector('input')?.click();
  } else if (row && !String(getSelection())) choose(row);
});
element.addEventListener('change', ({target}) => {
  if (!target.matches('.tick input')) return;
  const run = rowOf(target).dataset.run;
  if (target.checked) ticked.add(run); else ticked.delete(run);
  showTicks();
});
element.addEventListener('focusin', ({target}) => { at = name(target); });
element.addEventListener('focusout', ({relatedTarget}) => { if (relatedTarget) at = null; });
// Rows that are drawn anew leave the keyboard where it was.
watch('value', () => {
  showTicks();
  if (at && document.activeElement === document.body)
    element.querySelector(at)?.focus({preventScroll: true});
});
showTicks();
