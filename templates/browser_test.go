package templates

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program finds a program the test needs; without it the test is skipped, or fails where everything has to be there.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("SPAREKEY_REQUIRE") == "1" {
		t.Fatalf("none of %q is installed", names)
	}
	t.Skipf("none of %q is installed", names)
	return ""
}

func zeroBits(salt, answer string) (n int) {
	for _, b := range sha256.Sum256([]byte(salt + answer)) {
		n += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return n
}

func TestTheWorkerFindsAnAnswer(t *testing.T) {
	node := program(t, "node", "nodejs")
	for _, c := range []struct {
		salt string
		bits int
		from string
	}{
		{"c2FsdHNhbHRzYWx0c2FsdA", 12, "0"},
		{"", 8, "0"},
		{strings.Repeat("x", 50), 12, "98"},      // answers of two and three digits, one block and two
		{strings.Repeat("long", 40), 10, "0"},    // whole blocks before the answer
		{strings.Repeat("y", 64), 10, "1000000"}, // exactly one block
		{"grüße", 10, "0"},
	} {
		question, _ := json.Marshal(map[string]any{"salt": c.salt, "bits": c.bits, "from": json.Number(c.from)})
		script := `const src = require('fs').readFileSync('assets/sparekey.js', 'utf8');
			globalThis.onmessage = null; globalThis.postMessage = (m) => { if (m.answer) { console.log(m.answer); process.exit(); } };
			(0, eval)(src); onmessage({ data: ` + string(question) + ` });`
		out, err := exec.Command(node, "-e", script).CombinedOutput()
		answer := strings.TrimSpace(string(out))
		if err != nil || !regexp.MustCompile(`^\d+$`).MatchString(answer) {
			t.Fatalf("%q: %v, %s", c.salt, err, out)
		}
		if got := zeroBits(c.salt, answer); got < c.bits {
			t.Errorf("salt %q, answer %s: %d zero bits, want %d", c.salt, answer, got, c.bits)
		}
	}
}

// visit is one page opened in the browser: do runs there as an async function and gives back what report gets.
// With wantPost the page is expected to send a form; the next visit begins when it has.
type visit struct {
	name   string
	page   func(base string) Page
	do     string
	report func(t *testing.T, got string)
	post   func(t *testing.T, form map[string][]string)
}

// tour serves the visits to one browser, one after the other.
type tour struct {
	t      *testing.T
	set    *Set
	visits []visit
	mu     sync.Mutex
	posts  map[int]int
	done   chan struct{}
	once   sync.Once
}

const policy = "default-src 'none'; img-src 'self' data:; media-src data:; style-src 'self'; script-src 'self' 'nonce-bm9uY2U'; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func (o *tour) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var i int
	fmt.Sscanf(r.URL.Path, "/avengers/visit/%d", &i)
	switch {
	case strings.HasPrefix(r.URL.Path, "/avengers/assets/"):
		o.set.Assets().ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, "/bare/"):
		var n int
		fmt.Sscanf(r.URL.Path, "/bare/%d", &n)
		all := samples()
		page := inLanguage(all[n/2].page, []string{"en", "de"}[n%2])
		io.WriteString(w, strings.ReplaceAll(render(o.t, o.set, page), "<script", "<script type=none"))
	case i >= len(o.visits):
		o.once.Do(func() { close(o.done) })
	case strings.HasSuffix(r.URL.Path, "/probe.js"):
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprintf(w, `const violations = [];
			document.addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));
			const until = async (f) => { while (!f()) await new Promise((r) => setTimeout(r, 20)); };
			const $ = (s) => document.querySelector(s);
			window.addEventListener('load', async () => {
				let got;
				try { got = await (async () => { %s })(); } catch (e) { got = 'error: ' + e.stack; }
				if (got === undefined) return;
				await fetch('/avengers/visit/%d/report', { method: 'POST', body: JSON.stringify({ got: String(got), violations }) });
				location = '/avengers/visit/%d';
			});`, o.visits[i].do, i, i+1)
	case strings.HasSuffix(r.URL.Path, "/report"):
		var got struct {
			Got        string
			Violations []string
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			o.t.Error(err)
		}
		o.t.Run(o.visits[i].name, func(t *testing.T) {
			if len(got.Violations) > 0 {
				t.Errorf("the content security policy was hurt: %q", got.Violations)
			}
			o.visits[i].report(t, got.Got)
		})
	case r.Method == "POST":
		o.posts[i]++
		r.ParseForm()
		o.t.Run(o.visits[i].name, func(t *testing.T) {
			if o.posts[i] > 1 {
				t.Error("sent twice")
				return
			}
			o.visits[i].post(t, r.PostForm)
		})
		http.Redirect(w, r, fmt.Sprintf("/avengers/visit/%d", i+1), http.StatusSeeOther)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", strings.Replace(policy, "default-src 'none'", "default-src 'none'; frame-src 'self'", 1))
		at := fmt.Sprintf("/avengers/visit/%d", i)
		page := withFrame(o.visits[i].page(at), func(f *Frame) {
			f.Action = at
			if f.Logo != "" {
				f.Logo = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
			}
		})
		text := render(o.t, o.set, page)
		io.WriteString(w, strings.Replace(text, "<script", `<script src="`+at+`/probe.js" defer></script><script`, 1))
	}
}

func one(p Page) func(string) Page { return func(string) Page { return p } }

func TestA37_PagesInChromium(t *testing.T) {
	chromium := program(t, "chromium", "chromium-browser", "google-chrome")
	o := &tour{t: t, set: newTestSet(t), posts: map[int]int{}, done: make(chan struct{})}
	o.visits = append(behaviours(), narrow())
	opened := map[string]bool{"form_post": true} // that one leaves at once
	for _, sample := range samples() {
		if name := nameOf(sample.page); opened[name] {
			continue
		} else {
			opened[name] = true
		}
		o.visits = append(o.visits, visit{
			name: "A37 " + sample.name, page: one(filled(sample.page, strings.Join(canaries, " "))),
			do:     `await new Promise((r) => requestIdleCallback(r)); return 'whole'`,
			report: func(t *testing.T, got string) { want(t, got, "whole") },
		})
	}
	server := httptest.NewServer(o)
	defer server.Close()
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir="+profile, "--window-size=1280,900", "--remote-debugging-port=0",
		server.URL+"/avengers/visit/0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM) // so that it leaves its profile in order
		cmd.Wait()
	}()
	select {
	case <-o.done:
	case <-time.After(5 * time.Minute):
		o.mu.Lock()
		defer o.mu.Unlock()
		t.Fatalf("the tour did not come to its end; posts %v", o.posts)
	}
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// behaviours are what the script adds to the pages.
func behaviours() []visit {
	solved := func(t *testing.T, answer string) {
		t.Helper()
		if got := zeroBits(puzzle.Salt, answer); got < puzzle.Bits {
			t.Errorf("answer %q: %d zero bits, want %d", answer, got, puzzle.Bits)
		}
	}
	post := func(check func(t *testing.T, f map[string][]string)) func(*testing.T, map[string][]string) {
		return check
	}
	return []visit{
		{
			name: "the proof of work is done by itself", page: one(ResetName{Frame: frame(), Captcha: puzzle}),
			do: `await until(() => $('[name=captcha]').value);
				if (!$('.captcha').innerText.startsWith('Checked: you are not a robot')) return 'says ' + $('.captcha').innerText;
				return $('[name=captcha]').value`,
			report: solved,
		},
		{
			name: "a form that is sent early waits for the proof of work", page: one(ResetName{Frame: frame(), Login: "ironman", Captcha: puzzle}),
			do: `$('.primary').click()`,
			post: post(func(t *testing.T, f map[string][]string) {
				solved(t, f["captcha"][0])
				want(t, fmt.Sprint(f["action"], f["username"], f["captcha_id"], f["csrf"]), "[next] [ironman] [ticket] [csrf-value]")
			}),
		},
		{
			name: "ways back do not wait for it", page: one(ResetName{Frame: frame(), Captcha: &Captcha{Kind: "proof_of_work", ID: "t", Salt: "s", Bits: 60, Wait: 15}}),
			do:   `$('button[value=back]').click()`,
			post: post(func(t *testing.T, f map[string][]string) { want(t, fmt.Sprint(f["action"], f["captcha"]), "[back] []") }),
		},
		{
			name: "a double click sends once", page: one(AllSet{Frame: frame()}),
			do:   `$('.primary').click(); $('.primary').click()`,
			post: post(func(t *testing.T, f map[string][]string) { want(t, fmt.Sprint(f["action"]), "[done]") }),
		},
		{
			name: "passwords can be shown and are hidden again when sent", page: one(SignInPassword{Frame: frame(), Login: "ironman"}),
			do: `const eye = $('.eye'), input = $('#password'), seen = [input.type, eye.hidden, eye.getAttribute('aria-label')];
				eye.click(); seen.push(input.type, eye.getAttribute('aria-label'));
				input.value = 'x'; input.form.addEventListener('submit', (e) => e.preventDefault()); input.form.requestSubmit();
				seen.push(input.type); return seen.join()`,
			report: func(t *testing.T, got string) {
				want(t, got, "password,false,Show characters,text,Hide characters,password")
			},
		},
		{
			name: "rules for a password are checked while it is typed", page: one(NewPassword{Frame: frame(), Purpose: "reset", Rules: rules}),
			do: `const type = (s) => { $('#new').value = s; $('#new').dispatchEvent(new Event('input')); return [...document.querySelectorAll('.rules li')].map((li) => li.className || '-').join(''); };
				const seen = [type('short'), type('I am IronMan, hello'), type('a long enough one'), type('short')];
				await until(() => $('[data-say]').textContent);
				return seen.join() + ' ' + $('[data-say]').textContent`,
			report: func(t *testing.T, got string) {
				want(t, got, "no-ok,ok-no,ok-ok,no-ok Not yet there: At least 12 characters")
			},
		},
		{
			name: "another code can be sent when the wait is over", page: func(string) Page {
				p := mailed
				p.Resend, p.Expires = today.Add(900*time.Millisecond), today.Add(3*time.Second)
				return Prove{Frame: frame(), Purpose: "reset", Prompt: p}
			},
			do: `const b = $('button[value=resend]'), seen = [b.disabled, $('[data-left]').textContent, $('.expires').textContent];
				await until(() => !b.disabled); seen.push($('[data-left]').textContent);
				await until(() => $('.expires').textContent.includes('too old'));
				return seen.join('|')`,
			report: func(t *testing.T, got string) {
				want(t, got, "true|in 1 s|This code is good for one more minute. You can send a new one.|")
			},
		},
		{
			name: "times are shown in the browser’s own zone", page: one(Wait{Frame: frame(), Reason: "sign_in", Until: today.Add(59 * time.Second)}),
			do:     `return !$('time').textContent.includes('UTC') && /^0:5\d left$/.test($('[data-wait-until]').textContent)`,
			report: func(t *testing.T, got string) { want(t, got, "true") },
		},
		{
			name: "without a field the heading has the focus, with a problem its field has it", page: one(AllSet{Frame: frame()}),
			do:     `return document.activeElement.tagName`,
			report: func(t *testing.T, got string) { want(t, got, "H1") },
		},
		{
			name: "the field with the problem has the focus", page: one(NewPassword{Frame: frame(wrong("confirm", "problem.confirm")), Old: true, Purpose: "change"}),
			do:     `await until(() => document.hasFocus() ? document.activeElement.id : true); return document.activeElement.id`,
			report: func(t *testing.T, got string) { want(t, got, "confirm") },
		},
		{
			name: "a response to a relying party goes out by itself", page: func(at string) Page {
				return FormPost{Frame: frame(), Target: at, Fields: [][2]string{{"code", "c0de"}, {"submit", "x"}}}
			},
			post: post(func(t *testing.T, f map[string][]string) { want(t, fmt.Sprint(f), "map[code:[c0de] submit:[x]]") }),
		},
	}
}

// narrow looks at every page 320 pixels wide: nothing sticks out, no word is small, everything to press is large enough.
func narrow() visit {
	n := 2 * len(samples())
	return visit{
		name: "UI-07 every page fits 320 pixels", page: one(SignedOut{Frame: frame()}),
		do: fmt.Sprintf(`const faults = [], f = document.body.appendChild(document.createElement('iframe'));
			f.width = 320; f.height = 800;
			for (let i = 0; i < %d; i++) {
				await new Promise((r) => { f.onload = r; f.src = '/bare/' + i; });
				const d = f.contentDocument, w = f.contentWindow, fault = (s) => faults.push(d.title + ': ' + s);
				if (d.documentElement.scrollWidth > 320) fault('is ' + d.documentElement.scrollWidth + ' wide');
				const walk = d.createTreeWalker(d.body, NodeFilter.SHOW_TEXT);
				for (let t = walk.nextNode(); t; t = walk.nextNode()) {
					if (t.data.trim() && parseFloat(w.getComputedStyle(t.parentElement).fontSize) < 13) fault('small: ' + t.data);
				}
				for (const b of d.querySelectorAll('button, main a.link, main a.primary, input:not([type=hidden], [type=radio])')) {
					const r = b.getBoundingClientRect();
					if (r.height && r.height < 44 && !b.matches('.key button')) fault('low: ' + (b.textContent || b.name) + ' ' + r.height);
				}
			}
			return faults.join('\n')`, n),
		report: func(t *testing.T, got string) { want(t, got, "") },
	}
}

func TestFilledLeavesTheSampleAlone(t *testing.T) {
	before := samples()
	filled(before[len(before)-1].page, "x")
	if !reflect.DeepEqual(before[len(before)-1].page, samples()[len(before)-1].page) {
		t.Error("the sample was changed")
	}
}
