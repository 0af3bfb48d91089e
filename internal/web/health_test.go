package web

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReadinessFollowsTheStoreAndHealthDoesNot(t *testing.T) {
	var broken error
	remark := ""
	healthz, readyz := Health(func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the check may wait for ever")
		}
		return broken
	}, func() string { return remark })
	var log events
	porch := func() *httptest.ResponseRecorder {
		return serve(Porch(readyz, Options{Logger: log.logger()}), httptest.NewRequest("GET", "/readyz", nil))
	}
	if w := porch(); w.Code != 200 || w.Body.String() != "ready\n" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	remark = "one thing more"
	if w := porch(); w.Code != 200 || w.Body.String() != "ready\none thing more\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	broken = errors.New("dial postgres://sparekey@db.internal: refused")
	w := porch()
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "db.internal") {
		t.Errorf("A52: %d %q %v", w.Code, w.Body, w.Header())
	}
	if !strings.Contains(log.String(), "db.internal") {
		t.Error("the operator is not told why")
	}
	if w := serve(healthz, httptest.NewRequest("GET", "/healthz", nil)); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
