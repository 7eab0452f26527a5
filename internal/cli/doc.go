// Package cli is how wpbake speaks with whoever runs it: settings and their
// sources (flags, environment, wpbake.yaml), output for people and programs,
// progress, the live view of a rollout, hints and exit codes.
//
// It knows words and widths. It refuses to know AWS, registries and the local
// cloud, opens no store and decides nothing about a release.
package cli

import (
	"io"
	"time"
)

// Process is everything the program takes from its process. All fields are
// needed.
type Process struct {
	Args   []string // without the program's name
	Env    func(name string) (value string, set bool)
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time
}
