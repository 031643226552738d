() => {
  // The canvas opens with no tool in hand; a person expects to draw at once.
  const timer = setInterval(() => {
    const brush = document.querySelector('#canvas button[aria-label="Brush"]');
    if (brush) { clearInterval(timer); brush.click(); }
  }, 150);

  // What Gradio draws without a name gets one: an example that of its file. An answer is told by
  // screen readers as it comes.
  const nameAll = () => {
    for (const button of document.querySelectorAll('button.gallery-item:not([aria-label])')) {
      const src = button.querySelector('img, audio, video')?.src || '';
      const file = decodeURIComponent(src.split('/').pop()).replace(/\.[^.]*$/, '');
      button.setAttribute('aria-label', 'Example ' + file.replace(/[_-]+/g, ' '));
    }
    for (const empty of document.querySelectorAll('.empty[aria-label]:not([role])'))
      empty.setAttribute('role', 'img');
    for (const answer of document.querySelectorAll('[id^="label-"]:not([aria-live])'))
      answer.setAttribute('aria-live', 'polite');
  };
  // On a phone the answer comes into view after a tap. (Whoever draws looks at the canvas.)
  let asked = 0;
  document.addEventListener('pointerup', ({target}) => {
    if (target.closest('.asking') && !target.closest('#canvas')) asked = Date.now();
  }, true);
  const showAnswer = () => {
    if (innerWidth > 640 || Date.now() - asked > 20000) return;
    const answers = document.querySelectorAll('[id^="label-"], [id^="seen-"] .caption');
    const answer = [...answers].find((each) => each.offsetParent && each.innerText.trim() &&
      (each.classList.contains('caption') || each.innerText.includes('%')));
    if (!answer) return;
    const place = answer.getBoundingClientRect();
    asked = 0;
    if (place.top < 0 || place.bottom > innerHeight)
      answer.scrollIntoView({block: 'center', behavior: 'smooth'});
  };
  let waiting = 0;
  new MutationObserver(() => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => { nameAll(); showAnswer(); });
  }).observe(document.body, {childList: true, subtree: true});
  nameAll();

  // How long a run has been at it, from the first second on.
  const tellTimes = () => {
    for (const told of document.querySelectorAll('[data-since]')) {
      const seconds = Math.max(0, Math.round(Date.now() / 1000 - told.dataset.since));
      const minutes = Math.floor(seconds / 60);
      told.textContent = 'for ' + (minutes ? `${minutes} min ` : '') + `${seconds % 60} s`;
    }
  };
  setInterval(tellTimes, 1000);

  // A picture that the browser cannot show leaves no torn icon in its place: the answer says what is
  // wrong with it.
  for (const [what, seen] of [['error', 'hidden'], ['load', '']])
    document.addEventListener(what, (event) => {
      if (event.target.tagName === 'IMG') event.target.style.visibility = seen;
    }, true);

  // After a reload the same tab is open. (The page's own list of tabs is the first one.)
  const tabs = () => [...(document.querySelector('[role="tablist"]')?.children || [])];
  const open = sessionStorage.getItem('tab');
  const opening = setInterval(() => {
    if (!tabs().length) return;
    clearInterval(opening);
    tabs().find(each => open && each.dataset.tabId === open)?.click();
  }, 100);
  addEventListener('pagehide', () => {
    const chosen = tabs().find(each => each.getAttribute('aria-selected') === 'true');
    if (chosen) sessionStorage.setItem('tab', chosen.dataset.tabId);
  });

  FOLDERS

  // A browser knows a photo or a recording by its ending, and of what phones write many endings are
  // unknown to it: Gradio then says "Only image/* allowed". So each file is handed over as what its
  // input asks for; what it really is, the answer says.
  const endings = {image: 'PICTURES', audio: 'SOUNDS'};
  const wanted = (input) => Object.keys(endings).find((kind) => input?.accept.includes(kind + '/'));
  const isFiles = (node) => node.tagName === 'INPUT' && node.type === 'file';
  const handedOver = (input, files) => {
    const kind = wanted(input);
    const fits = (file) => file.type.startsWith(kind + '/');
    if (!kind || [...files].every(fits)) return null;
    const moved = new DataTransfer();
    for (const file of files)
      moved.items.add(fits(file) ? file : new File([file], file.name, {type: kind + '/unknown'}));
    return moved;
  };
  document.addEventListener('click', ({target}) => {  // before the list of files opens
    if (isFiles(target) && wanted(target) && !target.accept.includes('.'))
      target.accept += ',' + endings[wanted(target)];
  }, true);
  document.addEventListener('change', ({target}) => {
    const moved = isFiles(target) && handedOver(target, target.files);
    if (moved) target.files = moved.files;
  }, true);
  document.addEventListener('drop', (event) => {
    let input = null;
    for (let node = event.target; node && !input; node = node.parentElement)
      input = node.querySelector(':scope > input[type=file]');
    const moved = event.dataTransfer && handedOver(input, event.dataTransfer.files);
    if (!moved) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const again = {bubbles: true, cancelable: true, dataTransfer: moved};
    event.target.dispatchEvent(new DragEvent('drop', again));
  }, true);
}
