// The cards of Collect by class. `element`, `trigger`, `props`, `server`, `upload` and `watch` are
// Gradio's (gr.HTML). What is shown comes with each answer of the server (demos/collect.py); here
// lie what is named and still empty, what is chosen, and what was done and can be taken back.
const root = element.querySelector('.collect');
const PERIOD = 200;  // milliseconds between two pictures
const FEWEST = 6;  // pictures that are sent together, while more come, and
const MOST = 48;  // where the server is slower than the hand
const SIDE = 640;  // pixels of the longer side
const FEW = 12;  // items of a class that are shown at first
const CHANGED = 'changed', CHOSE = 'chose';
const AWAY = 'The app does not answer. Is it still running? Try again.';
const REFUSED = {
  NotAllowedError: 'was refused: allow it for this page (beside the address), and try again',
  NotFoundError: 'was not found: plug one in, and try again',
  NotReadableError: 'is used by another program: close that one, and try again',
};

let shown = {name: '', there: false, kind: '', classes: [], names: [], alike: {}};
let drafts = [];  // classes that are named, and still empty
let done = [];  // what Undo takes back, the last one at the end
let cards = new Map();  // by the class's name
let active = null;  // {card, close()}: the webcam or the microphone that is open
let outbox = [];  // pictures that are to be sent: {card, hold, frame}
let waiting = [];  // those that could not be added
let sending = null;
let holding = null;  // ends the hold of the button
let acting = Promise.resolve();
let turn = 0;  // grows when another data set is shown
const looks = new Map();  // thumbnails, by the items' hashes

// -- building -------------------------------------------------------------------------------------
function make(tag, given = {}, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name in node && name !== 'list') node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...inside);
  return node;
}
const button = (text, click, more = {}) =>
  make('button', {type: 'button', textContent: text, ...(click && {onclick: click}), ...more});
const words = (label) => label.replaceAll('_', ' ').split(/\s+/).filter(Boolean).join(' ') || label;
const fold = (label) => words(label.normalize('NFC')).toLowerCase();
const count = (number, one) => `${number.toLocaleString('en')} ${one}${number === 1 ? '' : 's'}`;
const thing = () => (shown.kind === 'sounds' ? 'clip' : 'picture');

const called = make('input', {type: 'text', maxLength: 60, id: 'collect-name', autocomplete: 'off'});
const another = button('New data set', () => begin(), {id: 'collect-new'});
const undo = button('Undo', takeBack, {id: 'collect-undo', disabled: true});
const told = make('div', {className: 'told', id: 'collect-told', role: 'status'});
const again = make('div', {className: 'again', hidden: true});
const grid = make('div', {className: 'cards'});
const more = button('Add a class', addClass, {id: 'collect-add', className: 'add'});
root.append(
  make('div', {className: 'head'},
    make('label', {}, make('span', {textContent: 'Name of the data set'}), called), another, undo),
  told, again, grid);
grid.append(more);
called.addEventListener('change', nameDataSet);
called.addEventListener('keydown', (event) => event.key === 'Enter' && called.blur());

function tell(text, kind = 'note') {
  told.replaceChildren(...(text ? [make('div', {className: `notice ${kind}`, textContent: text})] : []));
}

async function ask(what) {
  let answer;
  try { answer = await server.collect_by_class(what); } catch { /* it is told below */ }
  return answer ?? {error: AWAY, away: true};
}

// Asks for something, tells what came of it, and shows the cards as they are then; one after the
// other, so that an older answer never replaces a newer one.
function act(what) {
  const asked = turn;
  const name = shown.name;
  const answered = acting.then(() => ask({name, ...what})).then((answer) => hear(answer, asked));
  acting = answered.catch(() => {});
  return answered;
}

function hear(answer, asked) {
  if (answer.classes && asked === turn) take(answer);
  if (answer.error) tell(answer.error, 'bad');
  else if (answer.told) tell(answer.told, 'good');
  return answer.error ? null : answer;
}

function remember(entry) {
  done.push(entry);
  undo.disabled = false;
}

// The page around the cards hears of it.
function announce() {
  const name = shown.there ? shown.name : '';
  if (!name) return;
  const other = props.value !== name;
  if (other) props.value = name;
  trigger(other ? CHOSE : CHANGED);
}

// -- the data set ---------------------------------------------------------------------------------
function take(answer) {
  shown = answer;
  const labels = shown.classes.map((each) => each.label);
  drafts = drafts.filter((each) => !labels.some((label) => fold(label) === fold(each)));
  draw();
}

async function open(name) {
  const asked = ++turn;
  const answer = await ask({do: 'open', name});
  if (asked !== turn) return;
  if (answer.error) return tell(answer.error, 'bad');
  close();
  done = [];
  undo.disabled = true;
  drafts = [];
  take(answer);
  if (!shown.there && !drafts.length) begin(name);
}

function begin(name = '') {
  turn++;
  close();
  let free = name || 'my pictures';
  for (let number = 2; !name && shown.names.includes(free); number++) free = `my pictures ${number}`;
  shown = {...shown, name: free, there: false, kind: '', classes: [], alike: {}};
  drafts = ['class 1', 'class 2'];
  done = [];
  undo.disabled = true;
  draw();
  if (!name && document.activeElement === another) called.select();
}

async function nameDataSet() {
  const name = called.value.trim();
  if (!name || name === shown.name) { called.value = shown.name; return; }
  if (!shown.there) {
    if (!await act({do: 'open', name})) { called.value = shown.name; return; }
    if (shown.there) tell(`There is a data set ${shown.name} already: what you add joins it.`);
    return;
  }
  const answer = await act({do: 'rename', new: name});
  called.value = shown.name;
  if (!answer) return;
  remember({was: answer.was});
  announce();
}

async function takeBack() {
  const entry = done.pop();
  undo.disabled = !done.length;
  if (!entry) return;
  const {added, decisions, was} = entry;
  const answer = await act({do: 'undo', added, decisions, was});
  if (answer) announce();
}

// -- cards ----------------------------------------------------------------------------------------
function draw() {
  drawWaiting();
  if (document.activeElement !== called) called.value = shown.name;
  const fits = shown.kind !== 'captions';
  grid.hidden = !fits;
  if (!fits)
    tell(`${shown.name} holds captions, which have no classes: choose another data set, or a new one.`);
  const empty = drafts.map((label) => ({label, count: 0, items: [], aside: []}));
  const wanted = fits ? [...shown.classes, ...empty] : [];
  const labels = new Set(wanted.map((each) => each.label));
  for (const [label, card] of cards) {
    if (labels.has(label)) continue;
    if (active?.card === card) close();
    card.node.remove();
    cards.delete(label);
  }
  // Those that are there stay in their places: a finger may be on a button.
  let before = null;
  for (const each of wanted) {
    if (!cards.has(each.label)) {
      const card = makeCard(each.label);
      cards.set(each.label, card);
      if (before) before.after(card.node);
      else grid.prepend(card.node);
    }
    const card = cards.get(each.label);
    card.update(each);
    before = card.node;
  }
  fetchLooks();
}

function addClass() {
  let number = cards.size + 1;
  while ([...cards.keys()].some((label) => fold(label) === `class ${number}`)) number++;
  drafts.push(`class ${number}`);
  draw();
  cards.get(`class ${number}`).node.querySelector('.name').select();
}

function makeCard(label) {
  const card = {label, chosen: new Set(), most: FEW, data: null};
  const name = make('input', {
    type: 'text', className: 'name', value: label, maxLength: 100, autocomplete: 'off',
    title: label, 'aria-label': 'Name of the class', onchange: () => renameClass(card, name),
    onkeydown: (event) => event.key === 'Enter' && name.blur(),
  });
  const total = make('span', {className: 'count'});
  const into = make('select', {className: 'into', 'aria-label': `Merge ${label} into`, onchange: () => {
    const other = into.value;
    into.value = '';
    merge(card, other);
  }});
  const alike = make('p', {className: 'alike', hidden: true});
  const webcam = button('Webcam', () => toggle(card, 'webcam'), {className: 'webcam'});
  const microphone = button('Microphone', () => toggle(card, 'microphone'), {className: 'microphone'});
  const files = make('input', {type: 'file', multiple: true, hidden: true, onchange: () => {
    bringFiles(card, [...files.files]);
    files.value = '';
  }});
  const bring = button('Upload', () => files.click(), {className: 'bring'});
  const place = make('div', {className: 'place'});
  const shots = make('div', {className: 'shots'});
  const further = button('Show more', () => { card.most += 48; draw(); }, {className: 'further'});
  const large = make('div', {className: 'looked'});
  const remove = button('Remove', () => removeChosen(card), {className: 'remove'});
  const none = button('Choose none', () => { card.chosen.clear(); draw(); }, {className: 'none'});
  const tools = make('div', {className: 'tools', hidden: true}, large, remove, none);
  const heading = make('summary');
  const lost = make('div', {className: 'shots'});
  const aside = make('details', {className: 'aside', hidden: true}, heading, lost);
  card.place = place;
  card.node = make('section', {className: 'card', 'aria-label': label},
    make('header', {}, name, total),
    alike,
    make('div', {className: 'ways'}, webcam, microphone, bring, files, into),
    place, shots, further, tools, aside);
  card.node.addEventListener('dragover', (event) => event.preventDefault());
  card.node.addEventListener('drop', (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    bringFiles(card, [...event.dataTransfer.files]);
  });
  card.node.dataset.label = label;
  card.update = (data) => {
    card.data = data;
    name.readOnly = !data.count && data.aside.length > 0;  // all of it was taken out
    const listed = new Set([...data.items, ...data.aside]);
    for (const item of card.chosen) if (!listed.has(item)) card.chosen.delete(item);
    total.textContent = shown.kind ? count(data.count, thing()) : 'empty';
    webcam.hidden = shown.kind === 'sounds';
    microphone.hidden = shown.kind === 'pictures';
    const first = shown.alike[label];
    alike.hidden = !first;
    alike.replaceChildren(...(first ? [`Reads like ${words(first)}. `,
      button('Merge them', () => merge(card, first))] : []));
    const others = shown.classes.map((each) => each.label).filter((each) => each !== label);
    into.hidden = !data.count || !others.length;
    into.replaceChildren(new Option('Merge into …', ''),
      ...others.map((each) => new Option(words(each), each)));
    drawShots(shots, card, data.items.slice(0, card.most), false);
    further.hidden = data.items.length <= card.most;
    const picked = data.items.filter((item) => card.chosen.has(item)).length;
    tools.hidden = !picked;
    remove.textContent = `Remove ${count(picked, thing())}`;
    if (!picked) large.replaceChildren();
    aside.hidden = !data.aside.length;
    heading.textContent = `${count(data.aside.length, thing())} left out: choose one to put it back`;
    drawShots(lost, card, data.aside, true);
  };
  card.look = async (item) => {
    const answer = await ask({do: 'look', name: shown.name, item});
    if (answer.large && card.chosen.has(item)) large.innerHTML = answer.large;
  };
  return card;
}

// Those that are there stay as they are: a finger may be on one.
function drawShots(place, card, items, aside) {
  const there = new Map([...place.children].map((each) => [each.dataset.item, each]));
  const nodes = items.map((item) => there.get(item) ?? makeShot(card, item, aside));
  if (nodes.some((node, number) => place.children[number] !== node) || there.size > nodes.length)
    place.replaceChildren(...nodes);
  nodes.forEach((node, number) => {
    node.setAttribute('aria-pressed', card.chosen.has(node.dataset.item));
    node.setAttribute('aria-label', `${thing()} ${number + 1} of ${card.label}`);
    const look = looks.get(node.dataset.item);
    if (look && node.firstChild?.getAttribute('src') !== look)
      node.replaceChildren(make('img', {alt: '', src: look}));
  });
}

function makeShot(card, item, aside) {
  const shot = button('', async () => {
    if (aside) {
      const answer = await act({do: 'put back', items: [item]});
      if (!answer) return;
      const back = new Set(answer.taken_back);
      done = done.filter((entry) => !entry.decisions?.some((at) => back.has(at)));
      undo.disabled = !done.length;
      return announce();
    }
    if (!card.chosen.delete(item)) {
      card.chosen.add(item);
      card.look(item);
    }
    draw();
  }, {className: 'shot'});
  shot.dataset.item = item;
  return shot;
}

let fetching = false;
async function fetchLooks() {
  if (fetching) return;
  fetching = true;
  try {
    for (;;) {
      const name = shown.name;
      const missing = [...root.querySelectorAll('.shot')]
        .filter((node) => node.closest('details:not([open])') === null)
        .map((node) => node.dataset.item).filter((item) => !looks.has(item)).slice(0, 24);
      if (!missing.length) return;
      const {thumbs} = await ask({do: 'thumbs', name, items: missing});
      for (const item of missing) looks.set(item, thumbs?.[item] ?? '');
      if (looks.size > 5000) looks.clear();
      for (const card of cards.values()) card.update(card.data);
      if (!thumbs) return;
    }
  } finally { fetching = false; }
}
root.addEventListener('toggle', fetchLooks, true);

async function removeChosen(card) {
  const items = card.data.items.filter((item) => card.chosen.has(item));
  const answer = await act({do: 'remove', items});
  if (!answer) return;
  remember({decisions: answer.decisions});
  announce();
}

async function renameClass(card, input) {
  const wanted = input.value.trim().normalize('NFC');
  const clash = [...cards.keys()].find((label) => label !== card.label && fold(label) === fold(wanted));
  input.value = card.label;
  if (!wanted || wanted === card.label) return;
  if (drafts.includes(card.label)) {
    if (active?.card === card) close();
    drafts = drafts.flatMap((label) => (label !== card.label ? [label] : clash ? [] : [wanted]));
    if (clash) tell(`There is a class ${words(clash)} already: add to that.`);
    return draw();
  }
  if (clash && !drafts.includes(clash)) return merge(card, clash);
  decide(card, wanted);
}

function merge(card, other) {
  const question = `All of ${words(card.label)} become ${words(other)}. Merge them?`;
  if (other && confirm(question)) decide(card, other);
}

async function decide(card, wanted) {
  if (active?.card === card) close();
  const answer = await act({do: 'rename class', label: card.label, new: wanted});
  if (!answer) return;
  remember({decisions: answer.decisions});
  announce();
}

// -- adding ---------------------------------------------------------------------------------------
// What is added at once to the data set that is shown now, and taken back at once, though it may
// arrive in parts and the page show another one by then.
const begun = () => ({name: shown.name, there: shown.there, added: [], notes: new Set()});

// Sends what is added to a class; gives the answer, or null where it was told why not.
async function add(card, what, hold = begun()) {
  const answer = await act({name: hold.name, there: hold.there, label: card.label, ...what});
  if (!answer) return null;
  hold.there = true;
  answer.notes.forEach((note) => hold.notes.add(note));
  if (!hold.added.length && answer.added.length && hold.name === shown.name) remember(hold);
  hold.added.push(...answer.added);
  const some = `${count(hold.added.length, thing())} added to ${words(card.label)}.`;
  tell([some, ...hold.notes].join(' '), 'good');
  return answer;
}

async function bringFiles(card, files) {
  if (!files.length) return;
  const line = make('span');
  const stop = button('Cancel', null, {className: 'cancel'});
  const cancelled = new Promise((resolve) => { stop.onclick = () => resolve(null); });
  card.place.append(make('div', {className: 'doing'}, line, stop));
  try {
    const paths = [];
    for (const file of files) {
      line.textContent = `Uploading ${paths.length + 1} of ${files.length} …`;
      const sent = await Promise.race([upload(file), cancelled]);
      if (!sent) return tell('Cancelled: nothing was kept.');
      paths.push(sent.path);
    }
    line.textContent = 'Adding …';
    stop.remove();
    if (await add(card, {do: 'add files', paths})) announce();
  } catch {
    tell('The files could not be uploaded: they may be too large (100 MB at once), or the app does not '
      + 'answer. Nothing was kept.', 'bad');
  } finally { line.parentElement.remove(); }
}

// -- what happens around --------------------------------------------------------------------------
watch('value', () => { if (props.value !== shown.name || !shown.there) open(props.value || ''); });
// Others may have added to it, or deleted it.
const returned = () => {
  if (!root.isConnected) return removeEventListener('focus', returned);
  if (shown.there && !active && root.offsetParent) act({do: 'open'});
};
addEventListener('focus', returned);
open(props.value || '');
