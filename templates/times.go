package templates

import (
	"fmt"
	"html/template"
	"strconv"
	"time"
)

// Times are shown in UTC and say so; the script shows them in the browser's own zone.

// Day gives the day of t: "12 March", with the year when it is not this one.
func (v *view) Day(t time.Time) string { return v.words.day(t, v.now) }

// Ago gives the day of t by its distance: "just now", "today", "yesterday", "12 March".
func (v *view) Ago(t time.Time) string { return v.words.ago(t, v.now) }

// Clock gives the time of day of t, with the day when it is not today, as a <time> element.
func (v *view) Clock(t time.Time) template.HTML {
	show := "clock"
	if !sameDay(t, v.now) {
		show = "moment"
	}
	return timeElement(t, show, v.PlainClock(t))
}

// PlainClock is Clock as text.
func (v *view) PlainClock(t time.Time) string {
	if !sameDay(t, v.now) {
		return v.words.moment(t, v.now)
	}
	return v.words.clock(t)
}

// Moment gives day and time of day of t as a <time> element.
func (v *view) Moment(t time.Time) template.HTML {
	return timeElement(t, "moment", v.words.moment(t, v.now))
}

// Seconds gives the whole seconds from now until t, 0 when it has passed.
func (v *view) Seconds(t time.Time) int {
	if left := t.Sub(v.now); left > 0 {
		return int((left + time.Second - 1) / time.Second)
	}
	return 0
}

func timeElement(t time.Time, show, text string) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-time="%s">%s</time>`,
		t.UTC().Format(time.RFC3339), show, template.HTMLEscapeString(text)))
}

func (v *view) countdown(seconds int) template.HTML {
	return template.HTML(`<span data-countdown="` + strconv.Itoa(seconds) + `">` + strconv.Itoa(seconds) + `</span>`)
}

func (w *words) day(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	month := w.text("time.month." + strconv.Itoa(int(t.Month())))
	if t.Year() != now.Year() {
		return w.text("time.day_year", strconv.Itoa(t.Day()), month, strconv.Itoa(t.Year()))
	}
	return w.text("time.day", strconv.Itoa(t.Day()), month)
}

func (w *words) ago(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	switch d := now.Sub(t); {
	case d >= 0 && d < 2*time.Minute:
		return w.text("time.just_now")
	case sameDay(t, now):
		return w.text("time.today")
	case sameDay(t, now.AddDate(0, 0, -1)):
		return w.text("time.yesterday")
	}
	return w.day(t, now)
}

func (w *words) clock(t time.Time) string {
	return w.text("time.clock", t.UTC().Format(w.text("time.clock_layout")))
}

func (w *words) moment(t, now time.Time) string {
	return w.text("time.moment", w.day(t, now), w.clock(t))
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.UTC().Date()
	by, bm, bd := b.UTC().Date()
	return ay == by && am == bm && ad == bd
}

// known gives the key prefix.name, or prefix.other when there is none.
func (w *words) known(prefix, name string) string {
	if _, ok := w.entries[prefix+"."+name]; ok {
		return prefix + "." + name
	}
	return prefix + ".other"
}
