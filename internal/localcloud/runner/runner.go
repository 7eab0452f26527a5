// Package runner turns instances of the local cloud into real processes: it
// gives each one a disk, runs its user data and ends everything that came of
// it. It implements ec2.Runner.
//
// It knows machines and their user data. It refuses to know why a machine is
// started: images, types, groups and load balancers are other packages'.
//
// There are two kinds of machine.
//
// An overlay machine (root on Linux) sees the host's file system through an
// overlay: it reads what the host has and writes into a layer of its own, so
// nginx and PHP need no copy and every machine has the same absolute paths. It
// has mount, pid, uts and ipc namespaces of its own; when its first process
// ends, the kernel ends all others and undoes the mounts, also when the local
// cloud itself is killed. The mounts are made by mount(8) and pivot_root(8) in a
// shell that already is in the namespaces and becomes the machine's first
// process: doing the same in Go would take a second entry into the binary,
// because a Go process can not enter a pid namespace by itself.
//
// A plain machine (anybody on Linux) is a session of ordinary processes that
// keep to the directory INSTANCE_ROOT. Daemons leave the session and rewrite
// their environment, so processes are told by session, environment or an open
// file that they inherit. When the local cloud is killed, only the first
// process ends at once; what else there was is ended when the machine is
// started again.
//
// In both kinds the network is the host's, and a machine keeps to its own
// loopback address, INSTANCE_ADDRESS.
package runner

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Kinds of machine.
const (
	Overlay = "overlay"
	Plain   = "plain"
)

// Options configure a Runner. The zero value is good.
type Options struct {
	Path  []string      // directories that come first in PATH, such as wpbake's own
	Kind  string        // Overlay, Plain, or "" for overlay where that works
	Dir   string        // where machines will have their directories, to try overlays in; "" means the temporary directory
	Grace time.Duration // how long a stopping machine's processes may take; 0 means 10 s
	Log   *slog.Logger  // nil discards
}

const defaultGrace = 10 * time.Second

// systemPath is what PATH ends with.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Validate checks the options.
func (o Options) Validate() error {
	if o.Kind != "" && o.Kind != Overlay && o.Kind != Plain {
		return fmt.Errorf("choosing runner %q: must be %q or %q", o.Kind, Overlay, Plain)
	}
	for _, dir := range o.Path {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("choosing path %q: must be absolute", dir)
		}
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	return o
}
