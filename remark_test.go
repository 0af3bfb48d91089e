package sparekey

import (
	"testing"
	"time"

	"github.com/sparekey-id/sparekey/internal/peers"
)

func TestF08_WhatReadinessSaysOfNodesAndClocks(t *testing.T) {
	for want, s := range map[string]peers.State{
		"": {Others: 3, Ahead: peers.Most, Apart: peers.Most},
		"config: 1 of 2 other nodes have another one":                                 {Others: 2, Different: 1},
		"clock: 31s ahead of the database's":                                          {Ahead: 31 * time.Second},
		"clock: 1h0m0s behind the database's":                                         {Ahead: -time.Hour},
		"clock: 45s behind the database's\nclock: 1m30s from another node's":          {Others: 1, Ahead: -45 * time.Second, Apart: 90 * time.Second},
		"config: 1 of 1 other nodes have another one\nclock: 31s from another node's": {Others: 1, Different: 1, Apart: 31 * time.Second},
	} {
		if got := remark(s); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}
