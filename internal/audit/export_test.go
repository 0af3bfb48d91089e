package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestTheJournalIsExportedAsJSONLinesThatCanBeVerifiedElsewhere(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.some(3)
		r.record(Event{Name: DeadEnd, Client: "<b>&"})
		write(t, r.other("wakanda"), Event{Name: SignInOK})
		var out bytes.Buffer
		if err := r.Export(t.Context(), &out, "jsonl"); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 {
			t.Fatalf("%d lines, want 4: %s", len(lines), out.String())
		}
		before := ""
		for i, line := range lines {
			var e Entry
			decoder := json.NewDecoder(strings.NewReader(line))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&e); err != nil {
				t.Fatal(err)
			}
			if i == 3 {
				if e.Link != 0 || e.Client != "<b>&" {
					t.Errorf("the row not linked yet: %+v", e)
				}
				break
			}
			detail, err := json.Marshal(e.Detail)
			if err != nil {
				t.Fatal(err)
			}
			e.raw = string(detail)
			if e.Hash != hash("avengers", before, e) {
				t.Errorf("line %d does not follow from the one before", i+1)
			}
			before = e.Hash
		}
	})
}

func TestNoCellOfTheCSVIsAFormula(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		attacks := []string{`=HYPERLINK("http://evil.example","x")`, "+1", "-1+1|cmd", "@SUM(A1)", "  =1+1", "＝1+1", "\t=1", "%1", "|calc", "\ufeff=1"}
		for _, a := range attacks {
			r.record(Event{Name: SignInOK, Client: a, Detail: map[string]string{"label": a}})
		}
		r.record(Event{Name: SignInOK, Client: `quote " comma, and 'more`})
		var out bytes.Buffer
		if err := r.Export(t.Context(), &out, "csv"); err != nil {
			t.Fatal(err)
		}
		table, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(table[0], ",") != "seq,at,event,who,actor,flow,client,network,detail,link,hash" || len(table) != len(attacks)+2 {
			t.Fatalf("%d rows, heading %v", len(table), table[0])
		}
		for i, row := range table[1:] {
			for _, cell := range row {
				if trimmed := strings.TrimSpace(cell); trimmed != "" && strings.ContainsAny(string([]rune(trimmed)[0]), "=+-@|%＝＋－＠\ufeff") {
					t.Errorf("row %d has the cell %q", i+1, cell)
				}
			}
		}
		if got := table[len(table)-1][6]; got != `quote " comma, and 'more` {
			t.Errorf("a harmless cell became %q", got)
		}
		if _, err := strconv.ParseInt(table[1][0], 10, 64); err != nil {
			t.Errorf("the number became %q", table[1][0])
		}
	})
}

func TestAnotherFormatAndAFullDiskAreTold(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.record(Event{Name: SignInOK})
		if err := r.Export(t.Context(), &bytes.Buffer{}, "xml"); err == nil || !strings.Contains(err.Error(), `"xml"`) {
			t.Errorf("xml: %v", err)
		}
		for _, format := range []string{"jsonl", "csv"} {
			if err := r.Export(t.Context(), full{}, format); !errors.Is(err, errFull) {
				t.Errorf("%s to a full disk: %v", format, err)
			}
		}
	})
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
