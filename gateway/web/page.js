'use strict';
// Posts a list and shows its outcomes while they arrive, one JSON object a line. Everything that comes from outside
// goes into the page as text.

const MAX_ROWS = 1000;  // More would make the page slow; the counts go on.
const byId = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');

let running = null;

function cell(row, text, className) {
  const td = row.insertCell();
  td.textContent = text;
  if (className) td.className = className;
  return td;
}

function addRow(outcome) {
  const row = byId('rows').insertRow();
  const ok = outcome.status === 'ok';
  cell(row, outcome.id);
  cell(row, ok ? 'ok' : outcome.error.reason, ok ? 'ok' : 'error');
  if (ok) {
    cell(row, outcome.format);
    cell(row, `${outcome.width} × ${outcome.height}`, 'number');
    cell(row, number.format(outcome.size_bytes), 'number');
  } else {
    cell(row, outcome.error.message, 'message').colSpan = 3;
  }
  const url = cell(row, '');
  if (/^https?:\/\//i.test(outcome.url)) {
    const link = document.createElement('a');
    link.href = outcome.url;
    link.rel = 'noopener noreferrer';
    link.target = '_blank';
    link.textContent = outcome.url;
    url.append(link);
  } else {
    url.textContent = outcome.url;
  }
}

function show(counts, state) {
  const seconds = (performance.now() - counts.began) / 1000;
  const done = counts.ok + counts.failed;
  byId('summary').textContent = `${state} ${number.format(done)} outcomes in ${seconds.toFixed(1)} s: ` +
      `${number.format(counts.ok)} measured, ${number.format(counts.failed)} failed` +
      (done > MAX_ROWS ? `; the table shows the first ${number.format(MAX_ROWS)}.` : '.');
  byId('reasons').replaceChildren(...[...counts.reasons].sort((a, b) => b[1] - a[1]).map(([reason, count]) => {
    const item = document.createElement('li');
    item.textContent = `${reason}: ${number.format(count)}`;
    return item;
  }));
}

function take(line, counts) {
  if (!line) return;
  const outcome = JSON.parse(line);
  if (outcome.status === 'ok') {
    counts.ok += 1;
  } else {
    counts.failed += 1;
    counts.reasons.set(outcome.error.reason, (counts.reasons.get(outcome.error.reason) || 0) + 1);
  }
  if (counts.ok + counts.failed <= MAX_ROWS) addRow(outcome);
}

async function readLines(body, counts) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return take(rest, counts);
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) take(line, counts);
    show(counts, 'So far');
  }
}

async function refusal(response) {
  const text = await response.text();
  try {
    const said = JSON.parse(text);
    return [said.error, said.detail].filter(Boolean).join(': ') || text;
  } catch {
    return `${response.status} ${text}`;
  }
}

async function measure(list) {
  running = new AbortController();
  byId('measure').disabled = true;
  byId('stop').disabled = false;
  byId('rows').replaceChildren();
  byId('box').hidden = false;
  const counts = {ok: 0, failed: 0, reasons: new Map(), began: performance.now()};
  show(counts, 'Waiting.');
  try {
    const response = await fetch('/api/v1/images_info', {
      method: 'POST',
      headers: {'Content-Type': 'application/json', 'Accept': 'application/x-ndjson'},
      body: JSON.stringify(list),
      signal: running.signal,
    });
    if (!response.ok) {
      byId('box').hidden = true;
      byId('summary').textContent = await refusal(response);
      return;
    }
    await readLines(response.body, counts);
    show(counts, 'Done.');
  } catch (error) {
    show(counts, error.name === 'AbortError' ? 'Stopped.' : 'Broken off.');
  } finally {
    running = null;
    byId('measure').disabled = false;
    byId('stop').disabled = true;
  }
}

byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (running) return;
  const path = byId('path').value.trim();
  const urls = byId('urls').value.split('\n').map((line) => line.trim()).filter(Boolean);
  if (urls.length > 0 && path) {
    byId('summary').textContent = 'Either URLs or a list file, please: one of the two is to be empty.';
  } else if (urls.length > 0) {
    measure({urls});
  } else if (path) {
    measure({filepath: path});
  } else {
    byId('summary').textContent = 'Enter some URLs, or the path of a list file.';
    byId('urls').focus();
  }
});
byId('stop').addEventListener('click', () => running && running.abort());
