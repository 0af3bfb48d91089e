// The one script. Every page works without it; it only makes waiting shorter and typing easier.
// Loaded as a worker, it solves the proof of work: the n for which SHA-256(salt + n) starts with enough zero bits.
'use strict';

(() => {
  if (typeof document === 'undefined') return worker();

  const all = (selector, f) => document.querySelectorAll(selector).forEach(f);
  const put = (sentence, n) => sentence.replace('{0}', n);
  const source = document.currentScript && document.currentScript.src;

  // every calls f with the whole seconds left, the last time with 0. It looks at the clock, so sleep and slow timers do no harm.
  function every(seconds, f) {
    const end = performance.now() + seconds * 1000;
    (function tick() {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      f(left);
      if (left > 0) setTimeout(tick, 500);
    })();
  }

  // Without a field to type in, the heading gets the focus: it says what this page is.
  if (!document.querySelector('[autofocus]')) {
    const h1 = document.querySelector('h1[tabindex]');
    if (h1) h1.focus({ preventScroll: true });
  }

  // What a page says on its arrival is put there once more, since not every screen reader tells what was there before it looked.
  all('.notice[role=status] span', (span) => setTimeout(() => { span.textContent = String(span.textContent); }, 500));

  // What was done is said once: not again after a reload.
  if (/^\?done=\w+$/.test(location.search)) history.replaceState(null, '', location.pathname);

  // A form goes out once. What holds it back for a while gives back a promise.
  const holds = new WeakMap();
  document.addEventListener('submit', (e) => {
    const form = e.target, by = e.submitter;
    if (form.dataset.sent) return e.preventDefault();
    const hold = holds.get(form);
    if (hold && !(by && by.formNoValidate)) {
      const wait = hold();
      if (wait) {
        e.preventDefault();
        if (by) by.setAttribute('aria-busy', 'true');
        const go = () => { if (by) by.removeAttribute('aria-busy'); };
        wait.then(() => { go(); form.requestSubmit(by); }, go);
        return;
      }
    }
    form.dataset.sent = 'yes';
    if (by) by.setAttribute('aria-busy', 'true');
    setTimeout(() => again(form), 15000);
  });
  function again(form) {
    delete form.dataset.sent;
    form.querySelectorAll('[aria-busy]').forEach((b) => b.removeAttribute('aria-busy'));
  }
  window.addEventListener('pageshow', (e) => { if (e.persisted) all('form', again); });

  all('[data-toggle]', (b) => {
    const input = document.getElementById(b.dataset.toggle);
    b.hidden = false;
    b.addEventListener('click', () => {
      const show = input.type === 'password';
      input.type = show ? 'text' : 'password';
      b.classList.toggle('on', show);
      b.setAttribute('aria-label', show ? b.dataset.hide : b.dataset.show);
    });
    if (input.form) input.form.addEventListener('submit', () => { input.type = 'password'; });
  });

  // Rules for a new password that can be checked here; the others are told after sending.
  const checks = {
    min_length: (password, value) => [...password].length >= +value,
    max_length: (password, value) => [...password].length <= +value,
    not_contain: (password, value) => !value.split('\n').some((w) => w && password.toLowerCase().includes(w.toLowerCase())),
  };
  all('.rules', (list) => {
    const input = document.getElementById('new'), say = document.querySelector('[data-say]');
    if (!input) return;
    let timer;
    input.addEventListener('input', () => {
      const password = input.value.normalize('NFC'), open = [];
      list.querySelectorAll('[data-check]').forEach((li) => {
        const check = checks[li.dataset.check];
        if (!check) return;
        const ok = check(password, li.dataset.value || '');
        li.classList.toggle('ok', ok && password !== '');
        li.classList.toggle('no', !ok && password !== '');
        const state = li.querySelector('.seen'), rule = li.lastChild.textContent;
        state.textContent = password === '' ? '' : (ok ? list.dataset.fits : list.dataset.misses) + ' ';
        if (!ok) open.push(rule);
      });
      clearTimeout(timer);
      timer = setTimeout(() => {
        say.textContent = password === '' ? '' : open.length ? list.dataset.no + ' ' + open.join(', ') : list.dataset.ok;
      }, 900);
    });
  });

  all('[data-copy]', (b) => {
    if (!navigator.clipboard) return;
    const label = b.textContent, key = b.parentElement.querySelector('[data-secret]');
    b.hidden = false;
    b.addEventListener('click', async () => {
      await navigator.clipboard.writeText(key.textContent.replace(/\s/g, ''));
      b.textContent = b.dataset.copy;
      setTimeout(() => { b.textContent = label; }, 3000);
    });
  });

  all('[data-countdown]', (span) => every(+span.dataset.countdown, (left) => { span.textContent = left; }));

  all('[data-after]', (b) => {
    const hint = b.parentElement.querySelector('[data-left]');
    b.disabled = true;
    every(+b.dataset.after, (left) => {
      hint.textContent = left ? put(hint.dataset.left, left) : '';
      b.disabled = left > 0;
    });
  });

  all('[data-wait-until]', (span) => every(+span.dataset.waitUntil, (left) => {
    const clock = Math.floor(left / 60) + ':' + String(left % 60).padStart(2, '0');
    span.textContent = left >= 3600 ? '' : left ? put(span.dataset.left, clock) : span.dataset.over;
  }));

  // A code's end is told a minute before and when it has come (WCAG 2.2, 2.2.1).
  all('[data-expires]', (p) => {
    const seconds = +p.dataset.expires, tell = (text) => { if (p.textContent !== text) p.textContent = text; };
    every(seconds, (left) => {
      if (left === 0) tell(p.dataset.over);
      else if (left <= 60) tell(p.dataset.soon);
    });
  });

  // Times come in UTC; here they are shown in the browser's own zone.
  all('time[data-time]', (t) => {
    const at = new Date(t.dateTime), how = { hour: '2-digit', minute: '2-digit' };
    if (isNaN(at)) return;
    if (t.dataset.time === 'moment' || at.toDateString() !== new Date().toDateString()) {
      Object.assign(how, { day: 'numeric', month: 'long' });
      if (at.getFullYear() !== new Date().getFullYear()) how.year = 'numeric';
    }
    t.title = t.textContent;
    const lang = document.documentElement.lang;
    t.textContent = new Intl.DateTimeFormat(lang === 'en' ? 'en-GB' : lang, how).format(at);
  });

  all('form[data-auto-submit]', (form) => HTMLFormElement.prototype.submit.call(form));

  all('[data-captcha]', (box) => {
    const puzzle = JSON.parse(box.dataset.captcha), form = box.closest('form'), field = form.elements.namedItem('captcha');
    const [title, how] = [box.querySelector('b'), box.querySelector('small')], bar = box.querySelector('progress');
    const expected = 2 ** puzzle.bits, tried = [];
    let workers = [], over, failed;
    const done = new Promise((resolve) => { over = resolve; });
    const stop = () => { workers.forEach((w) => w.terminate()); workers = []; };
    box.hidden = false;
    holds.set(form, () => (over ? done : null));
    const finish = () => { const f = over; over = null; stop(); if (f) f(); };

    // No worker to be had: the ticket counts after a while all the same.
    const fallBack = () => {
      if (failed || !over) return;
      failed = true;
      stop();
      bar.hidden = true;
      how.textContent = '';
      every(+box.dataset.wait, (left) => {
        title.textContent = left ? put(box.dataset.waitLeft, left) : box.dataset.done;
        if (!left) finish();
      });
    };
    const hear = (i) => (e) => {
      if ('tried' in e.data) {
        tried[i] = e.data.tried;
        // So many tries were needed with this probability: a bar that only ever moves forward.
        bar.value = 100 * (1 - Math.exp(-tried.reduce((a, b) => a + (b || 0), 0) / expected));
        return;
      }
      if (!over) return;
      field.value = e.data.answer;
      bar.value = 100;
      title.textContent = box.dataset.done;
      how.textContent = box.dataset.doneHow;
      box.classList.add('solved');
      finish();
    };
    try {
      const many = Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1));
      for (let i = 0; i < many; i++) {
        const w = new Worker(source);
        w.onmessage = hear(i);
        w.onerror = fallBack;
        w.postMessage({ salt: puzzle.salt, bits: puzzle.bits, from: i * 1e12 });
        workers.push(w);
      }
    } catch { fallBack(); }
  });

  function worker() {
    // SHA-256 (FIPS 180-4). The constants are the fractional parts of roots of the first primes.
    const K = new Int32Array(64), START = new Int32Array(8), W = new Int32Array(64);
    const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
    for (let p = 2, i = 0; i < 64; p++) {
      let prime = true;
      for (let d = 2; d * d <= p; d++) if (p % d === 0) { prime = false; break; }
      if (!prime) continue;
      if (i < 8) START[i] = fraction(Math.sqrt(p));
      K[i++] = fraction(Math.cbrt(p));
    }
    function block(state, bytes, at) {
      for (let i = 0; i < 16; i++, at += 4) W[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
      for (let i = 16; i < 64; i++) {
        const x = W[i - 15], y = W[i - 2];
        W[i] = (W[i - 16] + W[i - 7]
          + (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3))
          + (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10))) | 0;
      }
      let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
      for (let i = 0; i < 64; i++) {
        const t = (h + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))) + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
        const u = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g; g = f; f = e; e = (d + t) | 0; d = c; c = b; b = a; a = (t + u) | 0;
      }
      state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
    }
    function zeros(state) {
      for (let i = 0; i < 8; i++) if (state[i] !== 0) return 32 * i + Math.clz32(state[i]);
      return 256;
    }
    onmessage = (e) => {
      const { salt, bits, from } = e.data, text = new TextEncoder().encode(salt);
      // What fills whole blocks is hashed once.
      const whole = text.length & ~63, middle = START.slice(), rest = text.subarray(whole);
      for (let i = 0; i < whole; i += 64) block(middle, text, i);
      const state = new Int32Array(8), tail = new Uint8Array(192);
      let digits = 0, blocks = 0;
      const write = (n) => { // the last blocks, with n in decimal
        const s = String(n), length = rest.length + s.length;
        tail.fill(0);
        tail.set(rest);
        for (let i = 0; i < s.length; i++) tail[rest.length + i] = s.charCodeAt(i);
        tail[length] = 0x80;
        blocks = Math.ceil((length + 9) / 64);
        new DataView(tail.buffer).setUint32(blocks * 64 - 4, (whole + length) * 8);
        digits = s.length;
      };
      write(from);
      for (let n = from; ; n++) {
        state.set(middle);
        for (let i = 0; i < blocks; i++) block(state, tail, i * 64);
        if (zeros(state) >= bits) return postMessage({ answer: String(n) });
        if (((n - from) & 0x3fff) === 0x3fff) postMessage({ tried: n - from });
        // Count on in place; one digit more is written anew.
        let i = rest.length + digits - 1;
        while (i >= rest.length && tail[i] === 57) tail[i--] = 48;
        if (i >= rest.length) tail[i]++;
        else write(n + 1);
      }
    };
  }
})();
