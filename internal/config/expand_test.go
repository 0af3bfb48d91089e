package config

import (
	"strings"
	"testing"
)

func TestAVariableIsReplacedInAnySingleValue(t *testing.T) {
	t.Setenv("A", "one")
	t.Setenv("EMPTY", "")
	t.Setenv("NESTED", "${A}")
	for text, want := range map[string]string{
		"":                 "",
		"plain $ {A} }":    "plain $ {A} }",
		"${A}":             "one",
		"x${A}y${A}":       "xoneyone",
		"${EMPTY}":         "",
		"${NESTED}":        "${A}", // what is put in is not looked at again
		"$${A}":            "${A}",
		"$$${A}":           "$${A}",
		"$${A} is ${A}":    "${A} is one",
		"$A":               "$A",
		"${A}${NESTED}}}$": "one${A}}}$",
	} {
		if got, err := expand(text); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"${NOT_SET_ANYWHERE}": "NOT_SET_ANYWHERE is not set",
		"${A":                 "not closed",
		"${}":                 "letters, digits",
		"${A:-x}":             "letters, digits",
		"${1A}":               "letters, digits",
		"${ A}":               "letters, digits",
		"${${A}}":             "letters, digits",
	} {
		if got, err := expand(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestF11_WhatAVariableHoldsIsNeverRepeated(t *testing.T) {
	t.Setenv("CANARY", "canary-value")
	got := faults(t, `
listen: ["${CANARY}"]
trusted_proxies: ["${CANARY}"]
mail: {smtp: {port: "${CANARY}", tls: "${CANARY}"}}
tenants:
  a: {sessions: {idle: "${CANARY}", absolute: "${CANARY}1h"}, limits: {x: "${CANARY}"}, policies: [{reset: "${CANARY}", weight: "${CANARY}", registration: {from: "${CANARY}"}}]}
`, nil)
	if all := strings.Join(got, "\n"); strings.Contains(all, "canary-value") || !strings.Contains(all, "what ${CANARY} stands for cannot be used here") || len(got) != 10 {
		t.Errorf("%d faults:\n%s", len(got), all)
	}
}

func TestAVariableCannotBringControlCharactersOrYAML(t *testing.T) {
	t.Setenv("CR", "a\r\nb")
	t.Setenv("LIST", "[a, b]")
	var into file
	if err := Parse("x.yaml", []byte("listen: ${LIST}\n"), &into, nil); err != nil || into.Listen != "[a, b]" {
		t.Errorf("%q, %v", into.Listen, err)
	}
	expect(t, faults(t, "listen: ${CR}\ndatabase: \"a\\0b\"\nmessages: {url: \"a\\eb\"}\n", nil),
		"1:9: listen: a control character is in the value",
		"2:11: database: a control character is in the value",
		"3:17: messages.url: a control character is in the value")
}
