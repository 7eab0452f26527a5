package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

// What a node answers may come after a greeting; its own error wins over that of
// the way to it.
func TestAskNode(t *testing.T) {
	broken := errors.New("exit status 1")
	for name, tt := range map[string]struct {
		out    string
		err    error
		schema int
		want   string
	}{
		"answer":            {`{"schema":60421}`, nil, 60421, ""},
		"after a greeting":  {"Welcome to {shop}\n{\"schema\":60421}\n\n", nil, 60421, ""},
		"its own error":     {`{"error":"no such table","exit":1}`, broken, 0, "no such table"},
		"the way is broken": {"", broken, 0, "exit status 1"},
		"no answer":         {"hello", nil, 0, "reading its answer"},
		"no schema":         {"{}", nil, 0, "its answer holds no schema"},
	} {
		var argv []string
		site := onNode{func(_ context.Context, instance string, words []string) ([]byte, error) {
			argv = append([]string{instance}, words...)
			return []byte(tt.out), tt.err
		}}
		d, err := site.Database(t.Context(), "i-0123456789abcdef0")
		if d.Schema != tt.schema || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: schema %d, %v", name, d.Schema, err)
		}
		if got := strings.Join(argv, " "); got != "i-0123456789abcdef0 wpbake node database --json" {
			t.Errorf("%s: ran %q", name, got)
		}
	}
}

func TestUpgradeSchemaOnNode(t *testing.T) {
	var argv string
	site := onNode{func(_ context.Context, _ string, words []string) ([]byte, error) {
		argv = strings.Join(words, " ")
		return []byte(`{"before":1,"after":2}`), nil
	}}
	if s, err := site.UpgradeSchema(t.Context(), "i-0123456789abcdef0", "sha256:m"); err != nil || s.After != 2 || argv != "wpbake node schema --manifest sha256:m --json" {
		t.Errorf("%+v, %v, ran %q", s, err, argv)
	}
}

func TestOpenSite(t *testing.T) {
	if site := openSite(cli.Config{DatabaseCommand: []string{cli.Off}}, nil); site != nil {
		t.Errorf("off is %v", site)
	}
	site := openSite(cli.Config{DatabaseCommand: []string{"/bin/sh", "-c", `echo "{\"schema\":7,\"stylesheet\":\"$0 $*\"}"`, "to {node}"}}, nil)
	d, err := site.Database(t.Context(), "i-0123456789abcdef0")
	if err != nil || d.Schema != 7 || d.Stylesheet != "to i-0123456789abcdef0 wpbake node database --json" {
		t.Errorf("%+v, %v", d, err)
	}
}

// The last line names what was saved; of a failure the last complaint is told.
func TestSnapshotHook(t *testing.T) {
	if snapshotHook(nil) != nil {
		t.Error("nothing to run is run")
	}
	r := rollout.Record{Group: "shop", Run: "r1", Version: "v1", Manifest: "sha256:m"}
	save := snapshotHook([]string{"/bin/sh", "-c", `echo saving; echo "snap of $WPBAKE_GROUP $WPBAKE_RUN $WPBAKE_VERSION $WPBAKE_MANIFEST"`})
	if name, err := save(t.Context(), r); err != nil || name != "snap of shop r1 v1 sha256:m" {
		t.Errorf("%q, %v", name, err)
	}
	fail := snapshotHook([]string{"/bin/sh", "-c", "echo one >&2; echo the disk is full >&2; exit 3"})
	if _, err := fail(t.Context(), r); err == nil || !strings.HasSuffix(err.Error(), "exit status 3: the disk is full") {
		t.Errorf("a failure is %v", err)
	}
}

func TestSayDatabase(t *testing.T) {
	out, got := recorder()
	sayDatabase(out, rollout.Result{})
	if got.String() != "" {
		t.Errorf("said %q of nothing", got.String())
	}
	sayDatabase(out, rollout.Result{Snapshot: "snap-1"})
	if got.String() != "snapshot: snap-1\n" {
		t.Errorf("said %q", got.String())
	}
}

// A name that a document gave reaches no command line.
func TestOnlyInstancesAreAsked(t *testing.T) {
	for _, id := range []string{"", "i-1", "i-0123456789abcdef0 ", "-oProxyCommand=x", "i-0123456789ABCDEF0", "i-01234567\n", "i-0123456789abcdef01"} {
		site := onNode{func(context.Context, string, []string) ([]byte, error) {
			t.Errorf("%q is asked", id)
			return nil, nil
		}}
		if _, err := site.Database(t.Context(), id); err == nil {
			t.Errorf("%q: no error", id)
		}
	}
}
