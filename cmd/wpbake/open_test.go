package main

import (
	"strings"
	"testing"

	"github.com/wpbake/wpbake/internal/cli"
)

func TestParseStore(t *testing.T) {
	for in, want := range map[string]storeURL{
		"s3://releases":            {bucket: "releases"},
		"s3://releases/":           {bucket: "releases"},
		"s3://releases/shop":       {bucket: "releases", prefix: "shop"},
		"s3://releases/a/b/":       {bucket: "releases", prefix: "a/b"},
		"s3://my.bucket-1/shop":    {bucket: "my.bucket-1", prefix: "shop"},
		"dir:///srv/store":         {dir: "/srv/store"},
		"dir:///srv/../srv/store/": {dir: "/srv/store"},
	} {
		if got, err := parseStore(in); err != nil || got != want {
			t.Errorf("parseStore(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "releases", "/srv/store", "s3://", "s3:///shop", "s3://Releases", "s3://ab", "s3://a..b/c",
		"s3://releases/a//b", "s3://releases/../x", "dir://srv/store", "dir://", "http://x/y",
		"s3://arn:aws:s3:::bucket/x",
	} {
		if got, err := parseStore(in); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("parseStore(%q) = %+v, %v; want a usage error", in, got, err)
		}
	}
}

// A command that only reads makes no store, and a rollout needs one that can
// hold its lock.
func TestOpenStores(t *testing.T) {
	ctx := t.Context()
	here := "dir://" + t.TempDir()
	for name, tt := range map[string]struct {
		open func(cli.Config) error
		url  string
		code int
		want string
	}{
		"reading":          {func(c cli.Config) error { _, err := readReleases(ctx, c); return err }, here, cli.ExitDone, ""},
		"reading nothing":  {func(c cli.Config) error { _, err := readReleases(ctx, c); return err }, here + "/x", cli.ExitUntouched, "the directory does not exist"},
		"reading rollouts": {func(c cli.Config) error { _, err := readRollouts(ctx, c); return err }, here + "/x", cli.ExitUntouched, "the directory does not exist"},
		"writing":          {func(c cli.Config) error { _, err := openReleases(ctx, c); return err }, here + "/new", cli.ExitDone, ""},
		"registry":         {func(c cli.Config) error { _, err := openReleases(ctx, c); return err }, "oci://localhost:5000/shop", cli.ExitDone, ""},
		"rollouts there":   {func(c cli.Config) error { _, err := openRollouts(ctx, c, nil); return err }, "oci://localhost:5000/shop", cli.ExitUsage, "a registry keeps no rollouts"},
		"a group of it":    {func(c cli.Config) error { _, _, err := openWithAWS(ctx, c); return err }, "oci://localhost:5000/shop", cli.ExitUsage, "a registry keeps no rollouts"},
		"none":             {func(c cli.Config) error { _, err := openReleases(ctx, c); return err }, "", cli.ExitUsage, "no store: no --store"},
	} {
		err := tt.open(cli.Config{Store: tt.url})
		if cli.ExitCode(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want exit code %d, %q", name, err, tt.code, tt.want)
		}
	}
}
