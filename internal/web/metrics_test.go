package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func shown(m *Metrics) string {
	return serve(m, httptest.NewRequest("GET", "/metrics", nil)).Body.String()
}

func TestMetricsAreShownInThePrometheusTextFormat(t *testing.T) {
	m := NewMetrics()
	m.Counter("sparekey_deeds_total", "event", "sign_in.ok", "tenant", "avengers")
	m.Add("sparekey_deeds_total", 2, "event", "sign_in.ok", "tenant", "avengers")
	m.Counter("sparekey_plain_total")
	m.Observe("sparekey_wait_seconds", 0.03, "route", "GET /x")
	text := shown(m)
	for _, want := range []string{
		"sparekey_deeds_total{event=\"sign_in.ok\",tenant=\"avengers\"} 3\n",
		"sparekey_plain_total 1\n",
		"sparekey_wait_seconds_bucket{route=\"GET /x\",le=\"0.025\"} 0\n",
		"sparekey_wait_seconds_bucket{route=\"GET /x\",le=\"0.05\"} 1\n",
		"sparekey_wait_seconds_count{route=\"GET /x\"} 1\n",
		"process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if other := shown(NewMetrics()); strings.Contains(other, "sparekey_plain_total") {
		t.Error("two sets share their metrics")
	}
}

func TestALabelCannotForgeAnotherLine(t *testing.T) {
	m := NewMetrics()
	m.Counter("sparekey_x_total", "v", "a\"} 1\nforged_total 1\n\\", "w", "\xff")
	text := shown(m)
	if strings.Contains(text, "\nforged_total") || !strings.Contains(text, `sparekey_x_total{v="a\"} 1\nforged_total 1\n\\",w="�"} 1`) {
		t.Error(text)
	}
}

func TestA50_LabelsCannotFillTheMemory(t *testing.T) {
	m := NewMetrics()
	var all sync.WaitGroup
	for part := range 4 {
		all.Go(func() {
			for i := range maxSeries {
				m.Counter("sparekey_x_total", "v", strconv.Itoa(part*maxSeries/2+i))
			}
		})
	}
	all.Wait()
	text := shown(m)
	if n := strings.Count(text, "sparekey_x_total{"); n > maxSeries || n < maxSeries-4 {
		t.Errorf("%d series", n)
	}
	if strings.Contains(text, "sparekey_metrics_dropped_total 0\n") {
		t.Error("what was dropped is not counted")
	}
}

func TestNoMetricsIsFine(t *testing.T) {
	var m *Metrics
	m.Counter("a_total")
	m.Observe("b_seconds", 1)
	if text := shown(m); text != "" {
		t.Error(text)
	}
}

func TestRequestsAreCountedByRouteAndNeverByPath(t *testing.T) {
	m := NewMetrics()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /flow/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
	h := Porch(mux, Options{Metrics: m})
	for _, target := range []string{"/flow/canary1", "/flow/canary2", "/canary3"} {
		serve(h, httptest.NewRequest("GET", target, nil))
	}
	serve(h, httptest.NewRequest("CANARY", "/canary4", nil))
	text := shown(m)
	for _, want := range []string{
		`sparekey_http_requests_total{method="GET",route="GET /flow/{id}",status="200"} 2`,
		`sparekey_http_requests_total{method="GET",route="",status="404"} 1`,
		`sparekey_http_requests_total{method="other",route="",status="404"} 1`,
		`sparekey_http_request_seconds_count{route="GET /flow/{id}"} 2`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(strings.ToLower(text), "canary") {
		t.Error("a path became a label")
	}
}
