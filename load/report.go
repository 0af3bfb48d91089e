package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// report is what a run found. Processor times are scaled; all others are as the clock says.
type report struct {
	Callers    int     `json:"callers"`
	Seconds    float64 `json:"seconds"` // that each operation was driven
	Database   string  `json:"database"`
	Operations []cost  `json:"operations"`
	Start      float64 `json:"ready_ms"`   // from exec to a good answer of /readyz, existing store, median
	Idle       float64 `json:"idle_mib"`   // resident, two seconds after the start
	Loaded     float64 `json:"loaded_mib"` // resident, so long after the load
	Rests      float64 `json:"rested_seconds"`
	Size       float64 `json:"binary_mb"` // stripped
}

// cost is that of one operation.
type cost struct {
	Name      string  `json:"name"`
	Signature float64 `json:"signature_ms"` // processor time of one RS256-2048 signature just before and after, unscaled: 1.0 of the next
	Processor float64 `json:"processor_ms"` // of the server's process
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Ratio     float64 `json:"p99_to_p50"`
	Rate      float64 `json:"per_second"`
	Cores     float64 `json:"cores"`                // that the server used
	Allowed   float64 `json:"of_what_was_possible"` // throughput, as a share of what it would be had no core been idle
}

func (r report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return r.json(w)
	}
	r.markdown(w)
	return nil
}

func (r report) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r report) markdown(w io.Writer) {
	fmt.Fprintf(w, "Processor times are scaled: one RS256-2048 signature, measured just before and after each operation, is 1.0 ms. %d callers, %g s each, %s.\n\n", r.Callers, r.Seconds, r.Database)
	fmt.Fprintf(w, "What was possible is the throughput at that processor time, had no core been idle; driver and server share the %s.\n\n", cores())
	fmt.Fprintln(w, "| operation | processor ms | p50 ms | p99 ms | p99 to p50 | a second | cores of the server | of what was possible | signature ms, unscaled |\n|---|---|---|---|---|---|---|---|---|")
	for _, c := range r.Operations {
		fmt.Fprintf(w, "| %s | %.3f | %.1f | %.1f | %.1f | %.0f | %.2f | %.0f %% | %.2f |\n", c.Name, c.Processor, c.P50, c.P99, c.Ratio, c.Rate, c.Cores, 100*c.Allowed, c.Signature)
	}
	fmt.Fprintf(w, "\n| | |\n|---|---|\n| ready after exec, existing store (median of 9) | %.0f ms |\n| resident memory, idle | %.1f MiB |\n| resident memory, %g s after the load | %.1f MiB |\n| stripped binary | %.1f MB |\n",
		r.Start, r.Idle, r.Rests, r.Loaded, r.Size)
}
