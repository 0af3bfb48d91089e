package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"syscall"
	"time"

	"github.com/sparekey-id/sparekey"
)

func serveCommand(c *call) error {
	if err := c.none(); err != nil {
		return err
	}
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP) // from the beginning: one that comes early ends nothing
	defer signal.Stop(hangUp)
	file := c.flag("config", "sparekey.yaml")
	cfg, err := sparekey.LoadConfig(file)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	for _, w := range cfg.Warnings() {
		log.Warn("config", "warning", w)
	}
	p, err := sparekey.Open(c.ctx, cfg, sparekey.WithLogger(log))
	if err != nil {
		return err
	}
	defer p.Close()
	collectLess() // not before: what many tenants leave behind while they are opened would lie between what stays, and be held with it
	l, err := net.Listen("tcp", or(cfg.Listen, sparekey.DefaultListen))
	if err != nil {
		return err
	}
	if cfg.TLS != nil {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.Certificate, NextProtos: []string{"h2", "http/1.1"}})
	}
	servers := []*http.Server{server(p, log)}
	listeners := []net.Listener{l}
	if cfg.MetricsListen != "" {
		m, err := net.Listen("tcp", cfg.MetricsListen)
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		servers, listeners = append(servers, server(p.Metrics(), log)), append(listeners, m)
	}
	if err := p.Settle(c.ctx); err != nil {
		return fmt.Errorf("settle what a crash left open: %w", err)
	}
	following, unfollow := context.WithCancel(c.ctx)
	var followed sync.WaitGroup
	followed.Go(func() { p.Follow(following, file, hangUp) })
	defer followed.Wait()
	defer unfollow()
	log.Info("ready", "listen", l.Addr().String(), "tenants", p.Tenants())
	return serve(c.ctx, p, servers, listeners)
}

// collectLess trades memory that is there for processor time: what lives is small, so the collector may run a quarter as often, until
// a soft limit is near. GOGC and GOMEMLIMIT, where they are set, are left alone.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(192 << 20)
	}
}

// rest gives memory back to the system: what starting left over, and later what a busy time did, once it has been quiet for a while.
func rest(ctx context.Context) {
	const quiet = 1 << 20 // bytes
	made := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	before, busy := uint64(0), true
	for wait := time.Second; ; wait = 30 * time.Second {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		metrics.Read(made)
		now := made[0].Value.Uint64()
		if before > 0 && now-before > quiet {
			busy = true
		} else if busy {
			debug.FreeOSMemory()
			busy = false
		}
		before = now
	}
}

// server has a limit for every phase of a connection.
func server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// takingLeave is how long a server that is terminated goes on answering although it is not ready any more, so that whatever sends it requests
// learns of it before a connection is refused.
const takingLeave = 2 * time.Second

// serve answers until ctx ends; then readiness falls first, requests under way end within ten seconds, and the work beside them after.
func serve(ctx context.Context, p *sparekey.Plugin, servers []*http.Server, listeners []net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	worked := make(chan struct{})
	go func() { p.Run(background); close(worked) }()
	go rest(background)
	failed := make(chan error, len(servers))
	for i, s := range servers {
		go func() { failed <- s.Serve(listeners[i]) }()
	}
	var err error
	select {
	case <-ctx.Done():
		p.Leave()
		if errors.Is(context.Cause(ctx), errTerminated) {
			select {
			case <-time.After(takingLeave):
			case err = <-failed:
			}
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		for _, s := range servers {
			err = errors.Join(err, s.Shutdown(end))
		}
	case err = <-failed:
	}
	stop()
	<-worked
	return err
}
