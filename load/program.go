package main

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
)

// provide is a program that mounts Sparekey over users of its own, until it is killed.
func provide(config string) error {
	collectLess()
	cfg, err := sparekey.LoadConfig(config)
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := sparekey.Open(ctx, cfg, sparekey.WithDirectory("avengers/staff", users{}), sparekey.WithLogger(slog.New(slog.NewJSONHandler(os.Stderr, nil))))
	if err != nil {
		return err
	}
	defer p.Close()
	go p.Run(ctx)
	return (&http.Server{Addr: cfg.Listen, Handler: p, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe()
}

// users are as many as are asked for: each is named user, and a number. They have one password, which is compared and not hashed, so that
// what is left of a sign-in is Sparekey's.
type users struct{}

func (users) Find(_ context.Context, login string) (directory.User, error) {
	if !strings.HasPrefix(login, "user") {
		return directory.User{}, directory.ErrNotFound
	}
	return directory.User{ID: directory.UserID(login), Login: login, Name: "A User", Email: login + "@example.test", Groups: []string{"Everybody"}}, nil
}

func (s users) Get(ctx context.Context, id directory.UserID) (directory.User, error) {
	return s.Find(ctx, string(id))
}

func (users) VerifyPassword(_ context.Context, _ directory.User, typed string) (directory.Verdict, error) {
	if subtle.ConstantTimeCompare([]byte(typed), []byte(password)) != 1 {
		return directory.Wrong, nil
	}
	return directory.Right, nil
}

func (users) SetPassword(context.Context, directory.User, string, directory.SetOptions) error {
	return directory.ErrNotAllowed
}

func (users) ChangePassword(context.Context, directory.User, string, string) error {
	return directory.ErrNotAllowed
}
