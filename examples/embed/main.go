// Command embed is a small program with users and pages of its own that mounts Sparekey as an http.Handler.
//
//	go run ./examples/embed
//
// Its users never leave it: Sparekey signs them in, asks them for security info and resets their passwords through the four
// methods of users.go. Its own page learns who is there the way any relying party does (pages.go).
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	folder, err := os.MkdirTemp("", "embed-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	users := &Users{}
	users.Add(directory.User{Login: "ada", Name: "Ada Lovelace", Email: "ada@example.com", EmailVerified: true, Groups: []string{"Staff"}}, "notes-on-the-engine")
	l, err := net.Listen("tcp", "localhost:8090")
	if err != nil {
		log.Print(err)
		return
	}
	log.Print("http://localhost:8090/   user ada, password notes-on-the-engine")
	if err := Serve(ctx, l, "http://localhost:8090", folder, users); err != nil {
		log.Print(err)
	}
}

// Serve answers at origin until ctx ends: Sparekey under /id, the program's own pages everywhere else.
func Serve(ctx context.Context, l net.Listener, origin, folder string, users directory.Directory) error {
	secret := rand.Text() // shared by the two halves of this one process
	plugin, err := sparekey.Open(ctx, configuration(origin, folder, secret),
		sparekey.WithDirectory("main/people", users),
		sparekey.WithLogger(slog.Default()),
		sparekey.WithSender(func(_ context.Context, to, subject, text, _ string) error {
			log.Printf("mail to %s: %s\n%s", to, subject, text)
			return nil
		}))
	if err != nil {
		return err
	}
	defer plugin.Close()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan struct{})
	go func() { plugin.Run(background); close(ran) }() // mail, keys, sweeping
	defer func() { stop(); <-ran }()

	mux := http.NewServeMux()
	mux.Handle("/id/", plugin)
	mux.Handle("/", &Pages{Issuer: origin + "/id", Client: "pages", Secret: secret, Origin: origin})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(background)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// configuration is what others write in a file.
func configuration(origin, folder, secret string) *sparekey.Config {
	return &sparekey.Config{
		Database: "sqlite:" + filepath.Join(folder, "sparekey.db"),
		Tenants: map[string]sparekey.Tenant{"main": {
			Issuer:      origin + "/id",
			Name:        "Analytical Engines",
			Directories: map[string]sparekey.Directory{"people": {Type: "program"}},
			Policies: []sparekey.Policy{{
				For:     sparekey.For{Everyone: true},
				Reset:   true,
				Methods: map[string]sparekey.MethodUse{"totp": {}, "email": {}},
			}},
			Sessions: sparekey.Sessions{Idle: sparekey.Duration(8 * time.Hour)},
			Clients: []sparekey.Client{{ID: "pages", Name: "Engine room", Secret: sparekey.NewSecret(secret),
				RedirectURIs: []string{origin + "/signed-in"}, PostLogoutURIs: []string{origin + "/"}}},
		}},
	}
}
