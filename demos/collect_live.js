// The webcam and the microphone of Collect by class; one of them is open at a time. It goes on from
// collect.js, in the same function.

function close() {
  active?.close();
  active = null;
}

async function toggle(card, what) {
  const same = active?.card === card && active.what === what;
  close();
  if (same) return;
  const is = what === 'webcam' ? 'camera' : 'microphone';
  if (!navigator.mediaDevices?.getUserMedia) {
    return tell(`Browsers give a page no ${is} unless it is opened by https, or on this very machine `
      + '(localhost): open it so, or upload files.', 'bad');
  }
  const panel = make('div', {className: 'capture'});
  const opener = card.node.querySelector(`.ways .${what}`);
  const mine = {card, what, panel, stream: null, shut: false, end() {}};
  mine.close = () => {
    mine.shut = true;
    mine.end();
    mine.stream?.getTracks().forEach((track) => track.stop());
    panel.remove();
    opener.setAttribute('aria-expanded', false);
    card.node.classList.remove('active');
    if (active === mine) active = null;
  };
  active = mine;
  opener.setAttribute('aria-expanded', true);
  card.place.append(panel);
  card.node.classList.add('active');
  tell('');
  panel.textContent = `Asking for the ${is} …`;
  try {
    const size = {width: {ideal: SIDE}, height: {ideal: 480}};
    mine.stream = await navigator.mediaDevices.getUserMedia(
      what === 'webcam' ? {video: size} : {audio: true});
  } catch (error) {
    mine.close();
    return tell(`The ${is} ${REFUSED[error.name] ?? 'cannot be used here: try again'}; or upload files.`,
      'bad');
  }
  if (mine.shut) return mine.close();  // closed before it was allowed
  panel.textContent = '';
  (what === 'webcam' ? openWebcam : openMicrophone)(mine);
  const hidden = setInterval(() => {  // nobody is filmed who does not see it
    if (mine.shut) clearInterval(hidden);
    else if (!panel.offsetParent) mine.close();
  }, 500);
}

// -- the webcam -----------------------------------------------------------------------------------
function openWebcam(mine) {
  const video = make('video', {muted: true, playsInline: true, autoplay: true, srcObject: mine.stream});
  const number = make('output', {className: 'number', hidden: true});
  const shoot = make('button', {type: 'button', className: 'hold', textContent: 'Hold to take pictures'});
  mine.panel.append(make('div', {className: 'seen-by'}, video, number), shoot,
    make('p', {className: 'hint', textContent: `${1000 / PERIOD} pictures a second while you hold it, by `
      + `mouse, finger, space or Enter; ${props.hold} at most.`}),
    button('Close the webcam', close));
  video.play().catch(() => {});
  let timer = null;
  let taken = 0;
  let hold = null;
  const frame = () => {
    if (!video.videoWidth) return;
    const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
    const sheet = make('canvas', {
      width: Math.round(video.videoWidth * scale), height: Math.round(video.videoHeight * scale)});
    sheet.getContext('2d').drawImage(video, 0, 0, sheet.width, sheet.height);
    outbox.push({card: mine.card, hold, frame: sheet.toDataURL('image/jpeg', 0.9)});
    number.textContent = ++taken;
    if (taken >= props.hold) {
      hold.notes.add(`${props.hold} are the most of one hold: let go, and hold again for more.`);
      release();
    } else if (outbox.length >= FEWEST) send();
  };
  const press = () => {
    if (timer || mine.shut) return;
    hold = begun();
    holding = release;
    taken = 0;
    number.hidden = false;
    number.textContent = 0;
    shoot.classList.add('held');
    timer = setInterval(frame, PERIOD);
    frame();
  };
  const release = () => {
    if (!timer) return;
    clearInterval(timer);
    timer = null;
    shoot.classList.remove('held');
    holding = null;
    send();
  };
  const isKey = (event) => event.key === ' ' || event.key === 'Enter';
  shoot.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    shoot.setPointerCapture(event.pointerId);
    press();
  });
  for (const end of ['pointerup', 'pointercancel', 'lostpointercapture', 'blur'])
    shoot.addEventListener(end, release);
  shoot.addEventListener('keydown', (event) => {
    if (!isKey(event)) return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  shoot.addEventListener('keyup', (event) => {
    if (!isKey(event)) return;
    event.preventDefault();
    release();
  });
  shoot.addEventListener('contextmenu', (event) => event.preventDefault());  // of a long press
  const hidden = () => document.hidden && release();
  document.addEventListener('visibilitychange', hidden);
  mine.stream.getVideoTracks()[0].addEventListener('ended', () => {
    if (mine.shut) return;
    mine.close();
    tell('The camera was unplugged, or is no longer allowed.', 'bad');
  });
  mine.end = () => {
    release();
    document.removeEventListener('visibilitychange', hidden);
  };
  show(mine);
  shoot.focus({preventScroll: true});
}

// All of it, where the screen is large enough.
function show(mine) {
  mine.panel.scrollIntoView({block: 'nearest'});
}

// Sends what is in the outbox, one part after the other. What could not be added waits until a
// person says what to do with it.
function send() {
  sending ??= sendAll().finally(() => {
    sending = null;
    if (!holding && outbox.length) send();
  });
}

async function sendAll() {
  while (outbox.length >= (holding ? FEWEST : 1)) {
    const {card, hold} = outbox[0];
    const some = outbox.filter((each) => each.hold === hold).slice(0, MOST);
    const frames = some.map((each) => each.frame);
    const answer = await add(card, {do: 'add frames', frames}, hold);
    if (!answer) {
      holding?.();
      waiting.push(...outbox.filter((each) => each.hold === hold));
      outbox = outbox.filter((each) => each.hold !== hold);
      drawWaiting();
    }
    outbox = outbox.filter((each) => !some.includes(each));
  }
  if (!holding) announce();
}

function drawWaiting() {
  again.hidden = !waiting.length;
  const labels = [...new Set(waiting.map((each) => words(each.card.label)))].join(', ');
  again.replaceChildren(...(waiting.length ? [
    `${count(waiting.length, 'picture')} of ${labels} could not be added and wait here. `,
    button(`Add to ${shown.name}`, () => {
      const hold = begun();
      outbox.push(...waiting.map(({card, frame}) => ({card, hold, frame})));
      waiting = [];
      drawWaiting();
      send();
    }), button('Discard', () => { waiting = []; drawWaiting(); })] : []));
}

// -- the microphone -------------------------------------------------------------------------------
function openMicrophone(mine) {
  const level = make('meter', {min: 0, max: 1, value: 0, 'aria-label': 'How loud it is'});
  const how = make('select', {'aria-label': 'Cut into pieces'},
    ...Object.entries(props.cuts).map(([value, text]) => new Option(text, value, value === '2', value === '2')));
  const record = make('button', {type: 'button', className: 'hold', textContent: 'Record'});
  mine.panel.append(level, record,
    make('label', {className: 'how'}, 'Cut into pieces: ', how),
    make('p', {className: 'hint', textContent: `${props.recording / 60} minutes at most. What is silent, `
      + 'and a short rest at the end, is left out.'}),
    button('Close the microphone', close));
  const context = new AudioContext();
  const listener = context.createAnalyser();
  context.createMediaStreamSource(mine.stream).connect(listener);
  const samples = new Float32Array(listener.fftSize);
  let recorder = null;
  let since = 0;
  const timer = setInterval(() => {
    listener.getFloatTimeDomainData(samples);
    level.value = Math.min(1, Math.max(...samples.map(Math.abs)) * 1.5);
    if (!recorder) return;
    const seconds = (performance.now() - since) / 1000;
    record.textContent = `Stop (${seconds.toFixed(0)} s)`;
    if (seconds >= props.recording) recorder.stop();
  }, 100);
  const start = () => {
    const parts = [];
    recorder = new MediaRecorder(mine.stream);
    recorder.addEventListener('dataavailable', (event) => parts.push(event.data));
    recorder.addEventListener('stop', () => {
      recorder = null;
      record.textContent = 'Record';
      record.classList.remove('held');
      keep(new Blob(parts), how.value);
    });
    recorder.start();
    since = performance.now();
    record.classList.add('held');
  };
  const keep = (blob, cut) => {
    tell('Adding the recording …');
    const reader = new FileReader();
    reader.addEventListener('load', async () => {
      const sound = `data:audio/*;base64,${reader.result.split(',')[1] ?? ''}`;
      if (await add(mine.card, {do: 'add sound', sound, cut})) announce();
    });
    reader.readAsDataURL(blob);
  };
  record.addEventListener('click', () => (recorder ? recorder.stop() : start()));
  mine.end = () => {
    clearInterval(timer);
    if (recorder) recorder.stop();
    context.close();
  };
  show(mine);
  record.focus({preventScroll: true});
}
