package config

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"time"
)

// Files are the files that a reading of a config looked at, whether they were there or not, each with a sum of what it held then.
type Files struct{ read map[string]sum }

type sum [sha256.Size]byte // zero: there is nothing to read

// note keeps what was read of a file. Of one that is read twice the first time counts: whatever differs from it is a change.
func (f *Files) note(name string, text []byte, err error) {
	if _, twice := f.read[name]; twice {
		return
	}
	if f.read == nil {
		f.read = map[string]sum{}
	}
	f.read[name] = sha256.Sum256(text)
	if info, bad := os.Stat(name); err != nil || bad != nil || !info.Mode().IsRegular() || len(text) > maxFile {
		f.read[name], _ = look(name) // what Changed will find
	}
}

// Watch begins to compare the files with what was read of them.
func (f *Files) Watch() *Watch { return &Watch{read: f.read, seen: map[string]seen{}} }

// Watch says when files have changed. It serves one goroutine.
type Watch struct {
	read   map[string]sum
	seen   map[string]seen
	before map[string]sum // as the last look found them
}

// seen is what one look found of a file that could be read.
type seen struct {
	info os.FileInfo
	sum  sum
}

// restless is how old the last change of a file has to be for its time to tell of the next one: clocks of file systems tick slowly.
const restless = 10 * time.Second

// Changed looks once and reports whether the files hold something else than was read of them, and the look before found the same:
// a file that is still being written, of which the beginning alone may be a good config, has not changed yet.
func (w *Watch) Changed() bool {
	now := map[string]sum{}
	for name := range w.read {
		now[name] = w.sum(name)
	}
	rested := maps.Equal(now, w.before)
	w.before = now
	return rested && !maps.Equal(now, w.read)
}

// sum reads a file only where its time, its size or the file itself has changed.
func (w *Watch) sum(name string) sum {
	info, err := os.Stat(name)
	if was, ok := w.seen[name]; ok && err == nil && os.SameFile(info, was.info) && info.Size() == was.info.Size() &&
		info.ModTime().Equal(was.info.ModTime()) && time.Since(info.ModTime()) > restless {
		return was.sum
	}
	delete(w.seen, name)
	now, ok := look(name)
	if ok && err == nil {
		w.seen[name] = seen{info, now}
	}
	return now
}

// look sums a file up. Of what is no file, such as a pipe, or too large for any setting it reads nothing.
func look(name string) (s sum, ok bool) {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return sum{}, false
	}
	if info.Size() > maxFile {
		return sha256.Sum256(fmt.Append(nil, info.Size(), info.ModTime())), true
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return sum{}, false
	}
	return sha256.Sum256(text), true
}
