package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSE05_ACookieIsBoundToItsHostAndOutOfScriptsReach(t *testing.T) {
	c := Cookie{Base: "sparekey-avengers-session", Secure: true}
	for _, want := range []struct {
		cookie  Cookie
		seconds int
		line    string
	}{
		{c, 0, "__Host-sparekey-avengers-session=x; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{c, 60, "__Host-sparekey-avengers-session=x; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"},
		{c, -1, "__Host-sparekey-avengers-session=x; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"},
		{Cookie{Base: "sparekey-avengers-session"}, 0, "sparekey-avengers-session=x; Path=/; HttpOnly; SameSite=Lax"},
	} {
		if got := want.cookie.Holding("x", want.seconds).String(); got != want.line {
			t.Errorf("%s, want %s", got, want.line)
		}
	}
}

func TestSE05_APlantedCookieBesideTheTrueOneVoidsBoth(t *testing.T) {
	for header, want := range map[string]string{
		"":                            "",
		"__Host-a=x":                  "x",
		"__Host-a=x; __Host-a=x":      "x",
		"__Host-a=x; __Host-a=y":      "",
		"__Host-a=y; b=1; __Host-a=x": "",
		"__Host-a=x; __Host-a=":       "",
		`__Host-a="x"`:                "",
		"a=x":                         "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", header)
		if got := (Cookie{Base: "a", Secure: true}).Value(r); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}
