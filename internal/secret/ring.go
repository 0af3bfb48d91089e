package secret

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

const (
	keySize  = 32
	idSize   = 10      // 16 characters of base32
	ringSize = 1 << 16 // bytes; a file above that is no key ring
)

// ErrRing is what a key ring file that cannot be used wraps: wrong rights, a line that cannot be read, no key of a sort.
// A missing file is fs.ErrNotExist instead.
var ErrRing = errors.New("key ring unusable")

type key struct {
	id     string
	secret []byte
}

// Ring holds the keys from which every sealed box and every keyed sum of an installation is derived.
// Its file has one key a line, "mac <id> <base64>" or "seal <id> <base64>", oldest first;
// the newest of a sort is used for new values, all are tried for old ones. Lines that begin with # are remarks.
type Ring struct {
	path string // empty: in memory only

	mu       sync.RWMutex
	file     os.FileInfo // of the file as last read
	macs     []key
	seals    []key
	ciphers  map[[2]string]cipher.AEAD // by label and key id
	machines map[string][][]byte       // keys of sums by label, newest first
}

// NewRing makes a ring that lives in memory only: what it sealed is lost with the process. For tests and the demo.
func NewRing() *Ring {
	return &Ring{macs: []key{newKey()}, seals: []key{newKey()}}
}

// CreateRing makes a new ring and its file (mode 0600), and returns only when file and folder are on disk.
// A file that is there already is never touched: fs.ErrExist. Nobody ever finds half of a new one.
func CreateRing(path string) (*Ring, error) {
	r := NewRing()
	r.path = path
	file, err := os.CreateTemp(filepath.Dir(path), ".keyring-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("create key ring: %w", err)
	}
	defer os.Remove(file.Name())
	if err := write(file, r.text()); err != nil {
		return nil, fmt.Errorf("create key ring %s: %w", path, err)
	}
	if err := os.Link(file.Name(), path); err != nil { // and not Rename, which would replace
		return nil, fmt.Errorf("create key ring: %w", err)
	}
	return r, syncFolder(path)
}

// OpenRing reads a ring's file. It refuses one that others than owner and group may read, or that others than the owner may write.
func OpenRing(path string) (*Ring, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || runtime.GOOS != "windows" && mode.Perm()&0o027 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %v; it must be a file of mode 0600", ErrRing, path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(file, ringSize+1))
	if err != nil {
		return nil, fmt.Errorf("open key ring: %w", err)
	}
	r, err := parseRing(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.path, r.file = path, info
	return r, nil
}

// Rotate adds a new seal key, in the file first (replaced whole, never half) and then here. Boxes sealed before stay open; Box.Stale
// tells which are worth sealing anew. Sums stay as they are: no mac key is added. Other processes go on sealing with the key they
// know until they are started again, and learn of the new one when they meet what it sealed. Two may not rotate one file at once.
func (r *Ring) Rotate() error {
	if r.path != "" {
		r.relearn() // what another process has added meanwhile stays
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := &Ring{macs: r.macs, seals: append(r.seals[:len(r.seals):len(r.seals)], newKey())}
	if r.path != "" {
		if err := replace(r.path, next.text()); err != nil {
			return fmt.Errorf("rotate key ring: %w", err)
		}
	}
	r.seals = next.seals
	return nil
}

// Keys are the ids of the seal keys, oldest first: the last one is the one that Seal uses.
func (r *Ring) Keys() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var ids []string
	for _, k := range r.seals {
		ids = append(ids, k.id)
	}
	return ids
}

// relearn reads the file again when it is another than the one read last, and reports whether it was. Keys that the file has no more
// are kept while the process lives. A file that cannot be read, or that has none of our keys, changes nothing.
func (r *Ring) relearn() bool {
	info, err := os.Stat(r.path)
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil && os.SameFile(info, r.file) && info.ModTime().Equal(r.file.ModTime()) && info.Size() == r.file.Size() {
		return false
	}
	now, err := OpenRing(r.path)
	if err != nil {
		return false
	}
	gone := slices.DeleteFunc(slices.Clone(r.seals), func(k key) bool { return slices.ContainsFunc(now.seals, k.same) })
	if len(gone) == len(r.seals) {
		return false
	}
	r.seals, r.file = append(gone, now.seals...), now.file
	return true
}

func (k key) same(other key) bool { return k.id == other.id && bytes.Equal(k.secret, other.secret) }

func newKey() key { return key{id: lower.EncodeToString(random(idSize)), secret: random(keySize)} }

func (r *Ring) text() []byte {
	var b bytes.Buffer
	b.WriteString("# Sparekey key ring: without it the database cannot be used. Keep a copy apart from the database's.\n")
	for _, k := range r.macs {
		fmt.Fprintf(&b, "mac %s %s\n", k.id, base64.StdEncoding.EncodeToString(k.secret))
	}
	for _, k := range r.seals {
		fmt.Fprintf(&b, "seal %s %s\n", k.id, base64.StdEncoding.EncodeToString(k.secret))
	}
	return b.Bytes()
}

func parseRing(text []byte) (*Ring, error) {
	if len(text) > ringSize {
		return nil, fmt.Errorf("%w: above %d bytes", ErrRing, ringSize)
	}
	r, seen := &Ring{}, map[string]bool{}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 3 {
			return nil, fmt.Errorf("%w: line %d is not “mac|seal id key”", ErrRing, n+1)
		}
		raw, err := lower.DecodeString(words[1])
		if err != nil || len(raw) != idSize || seen[words[1]] {
			return nil, fmt.Errorf("%w: line %d has a wrong or repeated key id", ErrRing, n+1)
		}
		seen[words[1]] = true
		secret, err := base64.StdEncoding.DecodeString(words[2])
		if err != nil || len(secret) != keySize {
			return nil, fmt.Errorf("%w: line %d has a damaged key", ErrRing, n+1)
		}
		switch k := (key{words[1], secret}); words[0] {
		case "mac":
			r.macs = append(r.macs, k)
		case "seal":
			r.seals = append(r.seals, k)
		default:
			return nil, fmt.Errorf("%w: line %d begins with neither mac nor seal", ErrRing, n+1)
		}
	}
	if len(r.macs) == 0 || len(r.seals) == 0 {
		return nil, fmt.Errorf("%w: it needs at least one mac key and one seal key", ErrRing)
	}
	return r, nil
}

func write(file *os.File, text []byte) error {
	_, err := file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

func replace(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".keyring-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := write(file, text); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(path)
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // folders cannot be synced there
		return nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
