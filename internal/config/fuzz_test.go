package config

import (
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

const good = `listen: 127.0.0.1:8080
database: "sqlite:${FUZZ_DB}"
trusted_proxies: [127.0.0.1/32]
mail: {from: a@b.example, smtp: {host: mx, port: 587, tls: mandatory, password: "${FUZZ_SECRET}"}}
tenants:
  avengers:
    issuer: https://a.example/avengers
    languages: &l [en, de]
    policies:
      - for: {groups: [Avengers]}
        reset: true
        methods_required: 2
        methods: {totp: {}, email: {for: [reset], from_directory: false}}
        registration: {from: 2026-12-01, needs: password}
        hold_new_method: 1d12h
      - {everyone: true, weight: 0.5}
    sessions: {idle: 8h, absolute: 7d}
    limits: {proofs: 5/24h}
    clients:
      - {id: wiki, secret: "${FUZZ_SECRET}", redirect_uris: [https://wiki.example.com/callback]}
  wakanda: {languages: *l}
`

const fuzzSecret = "zqxjkvbp-canary"

// judge holds one text to the oracle: whatever it is, reading ends, faults have places inside the text and are in its order, no secret is
// repeated, and the same text is read the same again.
func judge(t *testing.T, text string) {
	t.Helper()
	read := func() (into file, err error) {
		err = Parse("x.yaml", []byte(text), &into, func(s *Source) {
			for _, name := range slices.Sorted(maps.Keys(into.Tenants)) {
				s.Fault(join("tenants", name)+".nothing", "seen")
				s.Whole(join("tenants", name))
			}
			Words(into, s.Fault)
		})
		return into, err
	}
	_, err := read()
	if err == nil {
		return
	}
	var all Faults
	if !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	rows := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") + strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 2
	for _, f := range all {
		if f.Line < 1 || f.Line > rows || f.Column < 1 || f.Text == "" || f.File != "x.yaml" {
			t.Errorf("fault without a place in %d lines: %+v", rows, f)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b Fault) int { return a.Line - b.Line }) {
		t.Errorf("out of order: %v", all)
	}
	if strings.Contains(err.Error(), fuzzSecret) {
		t.Errorf("a secret is repeated: %v", err)
	}
	if n := strings.Count(err.Error(), "\n"); n > maxFaults || n >= len(all)+1 {
		t.Errorf("%d lines for %d faults", n+1, len(all))
	}
	if _, again := read(); again == nil || again.Error() != err.Error() {
		t.Errorf("read differently the second time:\n%v\n%v", err, again)
	}
}

func FuzzZ10_ReadingNeverPanicsAndFaultsHavePlaces(f *testing.F) {
	f.Setenv("FUZZ_DB", "x.db")
	f.Setenv("FUZZ_SECRET", fuzzSecret)
	f.Add(good)
	for _, seed := range []string{"", "a", "a: &a [*a]", "? x\n: y", "<<: *l", "tenants: {a: {b}}", "- a\n- b", "a: |\n  x\n  y\n", "\ufeffa: 1", "a: \"\\x00\"", "tenants: {a: {directories: {b: {urls: 3}}}}",
		"listen: ${", "listen: $${X}", "%YAML 1.2\n---\nlisten: x\n...\n", "!!map {listen: x}", "tenants: {? {a: b} : c}", "\"\": {\"\": x}", "tenants: {\"a.b[0]\": {x: y}}", laughs(4)} {
		f.Add(seed)
	}
	f.Fuzz(judge)
}

func TestF11_AThousandDamagedFilesAreReadOrRefusedWithAPlace(t *testing.T) {
	t.Setenv("FUZZ_DB", "x.db")
	t.Setenv("FUZZ_SECRET", fuzzSecret)
	if err := Parse("x.yaml", []byte(good), &file{}, nil); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := "{}[]:,-#&*!|>'\"%@`\n\t \\$~?<.=0aé\x00\xff"
	for range 1000 {
		text := []byte(good)
		for range 1 + r.IntN(3) {
			at := r.IntN(len(text))
			switch r.IntN(5) {
			case 0:
				text[at] = alphabet[r.IntN(len(alphabet))]
			case 1:
				text = slices.Insert(text, at, alphabet[r.IntN(len(alphabet))])
			case 2:
				text = slices.Delete(text, at, min(len(text), at+1+r.IntN(20)))
			case 3:
				text = text[:at+1]
			case 4:
				text = slices.Insert(text, at, text[:r.IntN(at+1)]...)
			}
		}
		judge(t, string(text))
		if t.Failed() {
			t.Fatalf("text:\n%s", text)
		}
	}
}

// plainFile is what has a way out as well as in: file without what is only ever read.
type plainFile struct {
	Listen   string         `yaml:"listen"`
	Idle     Duration       `yaml:"idle"`
	Absolute time.Duration  `yaml:"-"`
	Proofs   *Rate          `yaml:"proofs,omitempty"`
	Names    []string       `yaml:"names"`
	On       bool           `yaml:"on"`
	Limits   map[string]int `yaml:"limits"`
}

func FuzzZ10_WhatIsWrittenFromAConfigReadsTheSame(f *testing.F) {
	f.Add("listen: x\nidle: 1d12h\nproofs: 5/24h\nnames: [a, no, 1, ~x]\non: true\nlimits: {a: 1, b: -2}\n")
	f.Add("listen: |\n  a\n  b\nnames: ['', ' ', \"\\t\", '#', ': ', '$${x}']\n")
	f.Fuzz(func(t *testing.T, text string) {
		var first, second plainFile
		if err := Parse("x.yaml", []byte(text), &first, nil); err != nil {
			return
		}
		escaped := first
		escaped.Listen = strings.ReplaceAll(first.Listen, "${", "$${")
		escaped.Names = slices.Clone(first.Names)
		for i, name := range escaped.Names {
			escaped.Names[i] = strings.ReplaceAll(name, "${", "$${")
		}
		written, err := yaml.Dump(escaped)
		if err != nil {
			return // nothing that can be written
		}
		if err := Parse("x.yaml", written, &second, nil); err != nil {
			t.Fatalf("%q was written\n%s\nand is refused: %v", text, written, err)
		}
		if len(first.Names) == 0 && len(second.Names) == 0 {
			first.Names, second.Names = nil, nil
		}
		if len(first.Limits) == 0 && len(second.Limits) == 0 {
			first.Limits, second.Limits = nil, nil
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%q\n%+v\nwas written\n%s\nand read as\n%+v", text, first, written, second)
		}
	})
}
