package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/cli"
)

// What a node serves is pinned whole, or nothing is served.
func TestBootPins(t *testing.T) {
	digest := "sha256:" + strings.Repeat("1", 64)
	for _, tt := range []struct {
		name string
		pins bootPins
		snap string
		good bool
	}{
		{"whole", bootPins{version: "v1", manifest: digest}, "", true},
		{"with a volume", bootPins{version: "v1", manifest: digest, image: digest}, "snap-1", true},
		{"a volume of what?", bootPins{version: "v1", manifest: digest}, "snap-1", false},
		{"no manifest", bootPins{version: "v1"}, "", false},
		{"no version", bootPins{manifest: digest}, "", false},
		{"a pointer", bootPins{version: "latest", manifest: digest}, "", false},
		{"a cut digest", bootPins{version: "v1", manifest: digest[:20]}, "", false},
	} {
		var o nodeBootOptions
		o.volume.Snapshot = tt.snap
		err := tt.pins.parse(&o)
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.good && (o.version != "v1" || o.manifest != artifact.Digest(digest) || tt.snap != "" && o.volume.Image == "") {
			t.Errorf("%s: %+v", tt.name, o)
		}
	}
}

func TestNodePlace(t *testing.T) {
	for want, p := range map[string]nodePlace{
		"/etc/wpbake/node.yaml":      {},
		"/root/etc/wpbake/node.yaml": {prefix: "/root"},
		"my.yaml":                    {prefix: "/root", config: "my.yaml"},
	} {
		if got := p.file(); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}

func TestReadNodeConfig(t *testing.T) {
	p := nodePlace{prefix: t.TempDir()}
	_, err := needNodeConfig(p)
	if cli.ExitCode(err) != cli.ExitUsage || cli.HintOf(err) != "the image or the group's user data writes it" {
		t.Errorf("without a file: %v, hint %q", err, cli.HintOf(err))
	}
	if err := os.MkdirAll(filepath.Dir(p.file()), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"root: /srv/wordpress\ngate: {url: \"http://127.0.0.1/\"}": "",
		"rooot: /srv": "docs/node.md lists the keys of a node's configuration",
	} {
		if err := os.WriteFile(p.file(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		nc, err := needNodeConfig(p)
		if cli.HintOf(err) != want || err == nil && nc.Root != p.prefix+"/srv/wordpress" {
			t.Errorf("%q: root %q, %v, hint %q", text, nc.Root, err, cli.HintOf(err))
		}
	}
}
