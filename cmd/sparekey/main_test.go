package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/internal/admin"
	"github.com/sparekey-id/sparekey/internal/audit"
	"github.com/sparekey-id/sparekey/internal/guard"
	"github.com/sparekey-id/sparekey/internal/identity"
	"github.com/sparekey-id/sparekey/internal/session"
	"github.com/sparekey-id/sparekey/internal/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sparekey": main, "life": func() { play(life) }, "tamper": func() { play(tamper) }, "deadend": func() { play(deadEnd) }})
}

func TestEveryCommandKeepsItsWord(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exit": exit}})
}

// exit runs a program and wants this exit code: exit 2 sparekey user.
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM ARGUMENT…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// play runs a part of a script that no command does: what end-users do by the pages.
func play(f func(context.Context, *admin.Admin, []string) error) {
	ctx := context.Background()
	err := func() error {
		cfg, err := sparekey.LoadConfig("sparekey.yaml")
		if err != nil {
			return err
		}
		p, err := sparekey.Open(ctx, cfg)
		if err != nil {
			return err
		}
		defer p.Close()
		a := p.Admin("avengers")
		if len(os.Args) > 1 && p.Admin(os.Args[1]) != nil {
			a = p.Admin(os.Args[1])
		}
		return f(ctx, a, os.Args[1:])
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// life gives a user an authenticator app, a browser she is signed in with, and a reset that failed too often.
func life(ctx context.Context, a *admin.Admin, args []string) error {
	u, err := a.Find(ctx, args[0])
	if err != nil {
		return err
	}
	err = a.Store.Write(ctx, func(tx store.Tx) error {
		if _, err := a.Accounts.Bind(tx, u.ID, identity.Authenticator{Kind: identity.TOTP, Label: "Authenticator app", Data: []byte("a seed")}); err != nil {
			return err
		}
		_, _, err := a.Sessions.Begin(tx, session.Session{User: string(u.ID), Subject: "s", Login: u.Login, Agent: "Firefox", Network: "192.0.2.1", Clients: []string{"wiki"}}, "")
		return err
	})
	for err == nil {
		var try *guard.Attempt
		if try, err = a.Guard.Try(ctx, guard.Trial{For: guard.Reset, User: string(u.ID), Network: "192.0.2.1"}); err == nil {
			err = try.Wrong(ctx)
		}
	}
	if wait := (*guard.WaitError)(nil); errors.As(err, &wait) {
		return nil
	}
	return err
}

// deadEnd leaves what "Ask your administrator" leaves.
func deadEnd(ctx context.Context, a *admin.Admin, _ []string) error {
	return a.Store.Write(ctx, func(tx store.Tx) error {
		return a.Journal.Record(tx, audit.Event{Name: audit.DeadEnd, Flow: "k7h2m9qqxw4pzzzzzzzzzzzzzz"})
	})
}

// tamper waits until the running server has linked the whole journal, and then changes a row behind its back.
func tamper(ctx context.Context, a *admin.Admin, _ []string) error {
	for {
		v, err := a.Journal.Verify(ctx)
		if err != nil {
			return err
		}
		if v.Unlinked == 0 && v.Linked > 0 {
			break
		}
	}
	return a.Store.Write(ctx, func(tx store.Tx) error {
		n, err := tx.Exec(`UPDATE journal SET actor = 'operator:nobody' WHERE tenant = $1 AND link = $2`, 1)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows changed, want 1", n)
		}
		return err
	})
}
