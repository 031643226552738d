  // A folder that is dropped on the files of own data, or chosen, becomes a zip in the browser, which
  // keeps its subfolders: they are the classes. Nothing is packed: a file's bytes stay where they are.
  const TOO_LARGE = 0xffffffff, TOO_MANY = 0xffff;  // what a plain zip can hold
  const remainders = Uint32Array.from({length: 256}, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const checksum = (bytes) => {
    let crc = 0xffffffff;
    for (const byte of bytes) crc = remainders[(crc ^ byte) & 255] ^ (crc >>> 8);
    return (crc ^ 0xffffffff) >>> 0;
  };
  const record = (...fields) => {  // [bytes, value], little-endian
    const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
    let at = 0;
    for (const [size, value] of fields) {
      size === 4 ? view.setUint32(at, value, true) : view.setUint16(at, value, true);
      at += size;
    }
    return view.buffer;
  };
  const zip = async (files) => {  // of [path, File]
    const parts = [], list = [];
    let at = 0, listed = 0;
    for (const [path, file] of files) {
      const name = new TextEncoder().encode(path);
      const crc = checksum(new Uint8Array(await file.arrayBuffer()));
      const about = [[2, 20], [2, 0x800], [2, 0], [2, 0], [2, 0x21], [4, crc], [4, file.size],
        [4, file.size], [2, name.length], [2, 0]];
      parts.push(record([4, 0x04034b50], ...about), name, file);
      list.push(record([4, 0x02014b50], [2, 20], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]), name);
      at += 30 + name.length + file.size;
      listed += 46 + name.length;
    }
    const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length],
      [4, listed], [4, at], [2, 0]);
    return new Blob([...parts, ...list, end], {type: 'application/zip'});
  };
  const bringFolder = async (name, files) => {
    const size = files.reduce((sum, [path, file]) => sum + file.size + 2 * path.length + 100, 0);
    const told = document.querySelector('#own-told');
    if (!files.length || size > TOO_LARGE || files.length > TOO_MANY) {
      told.textContent = files.length ? 'This folder is too large: at most 4 GB and 20,000 files.' :
        'This folder is empty.';
      return;
    }
    const moved = new DataTransfer();
    moved.items.add(new File([await zip(files)], name + '.zip', {type: 'application/zip'}));
    const input = document.querySelector('#own-files input[type=file]');
    input.files = moved.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  };
  const walk = async (entry, path = entry.name) => {
    if (entry.isFile)
      return [[path, await new Promise((found, failed) => entry.file(found, failed))]];
    const reader = entry.createReader(), inside = [];
    for (let some; (some = await new Promise((f, e) => reader.readEntries(f, e))).length;)
      for (const each of some) inside.push(...await walk(each, `${path}/${each.name}`));
    return inside;
  };
  document.addEventListener('drop', (event) => {
    const entries = [...(event.dataTransfer?.items || [])].map((item) => item.webkitGetAsEntry?.());
    if (!event.target.closest('#own-files') || !entries.some((entry) => entry?.isDirectory)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    Promise.all(entries.filter(Boolean).map((entry) => walk(entry)))
      .then((found) => bringFolder(entries[0].name, found.flat()));
  }, true);
  window.chooseFolder = () => {
    const input = Object.assign(document.createElement('input'), {type: 'file', webkitdirectory: true});
    input.onchange = () => {
      const files = [...input.files].map((file) => [file.webkitRelativePath, file]);
      bringFolder(files[0]?.[0].split('/')[0] || 'folder', files);
    };
    input.click();
  };
