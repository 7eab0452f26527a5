package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/localcloud"
	"github.com/wpbake/wpbake/internal/localcloud/runner"
)

// runLocalServe is the local cloud itself: it ends with ctx, after its instances.
func runLocalServe(ctx context.Context, out *cli.Output, place localPlace, o localOptions) error {
	dir, err := filepath.Abs(place.dir)
	if err != nil {
		return fmt.Errorf("starting the local cloud: %w", err)
	}
	place.dir = dir
	lock, err := place.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return cli.Hinted(fmt.Errorf("port %d is taken by another program", o.port), place.command("start", "--port", "0"))
	}
	if err != nil {
		return fmt.Errorf("starting the local cloud: %w", err)
	}
	defer listener.Close()
	url := "http://" + listener.Addr().String()
	cloud, err := newCloud(place, localcloud.Options{Speed: o.speed, Endpoint: url, Log: slog.New(slog.NewTextHandler(cli.Lines(out.Stderr), nil))}, o.runner)
	if err != nil {
		return fmt.Errorf("starting the local cloud: %w", err)
	}
	server := &http.Server{Handler: cloud, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer server.Close()
	if err := place.write(localState{PID: os.Getpid(), URL: url, Environ: cloud.Environ()}); err != nil {
		return err
	}
	defer os.Remove(place.stateFile())
	out.Note("local cloud at %s, state in %s", url, place.dir)
	serving, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(<-served) }()
	err = cloud.Run(serving)
	if err == nil && ctx.Err() == nil {
		return fmt.Errorf("serving the local cloud: %w", context.Cause(serving))
	}
	return err
}

// newCloud makes a local cloud and what its instances run in. They find this
// very program first in their PATH, so that their boots are of the same build.
func newCloud(place localPlace, o localcloud.Options, kind string) (*localcloud.Cloud, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o.Dir = place.dir
	o.Runner, err = runner.New(runner.Options{Kind: kind, Dir: o.Dir, Path: []string{filepath.Dir(self)}, Log: o.Log})
	if err != nil && kind == "overlay" {
		err = cli.Hinted(err, place.command("start", "--runner", "plain"))
	}
	if err != nil {
		return nil, err
	}
	return localcloud.New(o)
}
