package web

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
)

// maxSeries bounds what labels can make of memory; series beyond it are dropped and counted in sparekey_metrics_dropped_total.
const maxSeries = 5000

// limits are those of the buckets, in seconds.
var limits = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Metrics is a set of metrics of its own and the handler that shows it in the Prometheus text format.
// A nil *Metrics counts nothing, so rooms need not ask. Labels are pairs of name and value and never name a user.
type Metrics struct {
	set     *metrics.Set
	known   sync.Map // full names
	tallies sync.Map // of requests, by what they are counted by
	count   atomic.Int64
	dropped *metrics.Counter
}

// NewMetrics returns an empty set.
func NewMetrics() *Metrics {
	set := metrics.NewSet()
	return &Metrics{set: set, dropped: set.NewCounter("sparekey_metrics_dropped_total")}
}

// Counter adds one to a counter, whose name should end in _total.
func (m *Metrics) Counter(name string, labels ...string) { m.Add(name, 1, labels...) }

// Add adds n to a counter.
func (m *Metrics) Add(name string, n int, labels ...string) {
	if m == nil {
		return
	}
	if full := series(name, labels); m.admit(full) {
		m.set.GetOrCreateCounter(full).Add(n)
	}
}

// Observe adds a duration in seconds to a histogram, whose name should end in _seconds.
func (m *Metrics) Observe(name string, value float64, labels ...string) {
	if m == nil {
		return
	}
	if full := series(name, labels); m.admit(full) {
		m.set.GetOrCreatePrometheusHistogramExt(full, limits).Update(value)
	}
}

// Gauge shows what f returns when it is asked.
func (m *Metrics) Gauge(name string, f func() float64) {
	if m != nil && m.admit(name) {
		m.set.GetOrCreateGauge(name, f)
	}
}

// answered is what an answer is counted by.
type answered struct {
	method, route string
	status        int
}

// tally is where answers of one sort are counted, found once, since there are many of each.
type tally struct {
	total *metrics.Counter
	took  *metrics.PrometheusHistogram
}

// answer counts an answer.
func (m *Metrics) answer(a answered, seconds float64) {
	if m == nil {
		return
	}
	if t, ok := m.tallies.Load(a); ok {
		t.(tally).total.Inc()
		t.(tally).took.Update(seconds)
		return
	}
	total := series("sparekey_http_requests_total", []string{"method", a.method, "route", a.route, "status", strconv.Itoa(a.status)})
	took := series("sparekey_http_request_seconds", []string{"route", a.route})
	if !m.admit(total) || !m.admit(took) {
		return
	}
	t := tally{m.set.GetOrCreateCounter(total), m.set.GetOrCreatePrometheusHistogramExt(took, limits)}
	m.tallies.Store(a, t)
	t.total.Inc()
	t.took.Update(seconds)
}

// ServeHTTP shows the set and the process's own figures. It belongs on a listener of its own.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if m == nil {
		return
	}
	m.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}

func (m *Metrics) admit(full string) bool {
	if _, ok := m.known.Load(full); ok {
		return true
	}
	if m.count.Add(1) > maxSeries {
		m.count.Add(-1)
		m.dropped.Inc()
		return false
	}
	if _, ok := m.known.LoadOrStore(full, true); ok { // somebody else was first
		m.count.Add(-1)
	}
	return true
}

var quote = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// series spells a metric's full name: name{label="value",…}.
func series(name string, labels []string) string {
	if len(labels) < 2 {
		return name
	}
	var b strings.Builder
	b.WriteString(name)
	sep := byte('{')
	for i := 0; i+1 < len(labels); i += 2 {
		b.WriteByte(sep)
		b.WriteString(labels[i])
		b.WriteString(`="`)
		quote.WriteString(&b, strings.ToValidUTF8(labels[i+1], "\uFFFD"))
		b.WriteByte('"')
		sep = ','
	}
	b.WriteByte('}')
	return b.String()
}
