package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/disk"
)

// ResumeOptions says what to resume. Config is required.
type ResumeOptions struct {
	Config     Config
	Parameters Parameters // required when Config has an environment path
	Log        io.Writer  // for the console; nil keeps silent
}

// Resumed is a release that can be served again.
type Resumed struct {
	Version  artifact.Version `json:"version,omitempty"` // empty: this node has served none yet
	Manifest artifact.Digest  `json:"manifest,omitempty"`
	As       string           `json:"as,omitempty"` // AsImage, AsVolume or AsDirectory
}

// Resume brings back what this node served before it was rebooted: user data
// runs once in a node's life, but mounts and the environment end with each
// boot. Every byte is compared first. The store is not asked, no service is
// started and nothing is reported: the web server starts after it.
//
// A node that has served nothing yet is none of its business. After an error
// nothing may serve.
func Resume(ctx context.Context, o ResumeOptions) (Resumed, error) {
	if o.Config.Environment.Path != "" && o.Parameters == nil {
		return Resumed{}, errors.New("resuming: an environment path needs a parameter client")
	}
	d := disk.At(o.Config.Root)
	name, err := d.Running()
	if err != nil || name == "" {
		return Resumed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Config.Timeout)
	defer cancel()
	r, err := resume(ctx, o, d.Named(name))
	if err != nil {
		return Resumed{}, fmt.Errorf("resuming %s: %w", name, err)
	}
	return r, nil
}

func resume(ctx context.Context, o ResumeOptions, release disk.Release) (Resumed, error) {
	lock := rootLock{disk: disk.At(o.Config.Root)}
	if err := lock.take(ctx); err != nil {
		return Resumed{}, err
	}
	defer lock.release()
	m, err := release.Manifest()
	if err != nil {
		return Resumed{}, err
	}
	r := Resumed{Version: m.Version, Manifest: m.Digest()}
	if r.As, err = release.Restore(ctx, m); err != nil {
		return Resumed{}, err
	}
	if o.Config.Environment.Path == "" {
		return r, nil
	}
	journal := newJournal(Options{Config: o.Config, Log: o.Log})
	environment := environmentFile{parameters: o.Parameters, config: o.Config.Environment, digest: r.Manifest, journal: journal}
	return r, environment.write(ctx)
}

// Text is what was resumed, for people.
func (r Resumed) Text() string {
	if r.Version == "" {
		return "this node has served nothing yet"
	}
	return strings.Join([]string{"resumed", string(r.Version), r.Manifest.Short(), "as", r.As}, " ")
}
