package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/artifact"
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
	b := newBoot(Options{Config: o.Config, Parameters: o.Parameters, Log: o.Log})
	defer func() { b.unlock() }()
	name, err := b.running()
	if err != nil || name == "" {
		return Resumed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Config.Timeout)
	defer cancel()
	r, err := b.resume(ctx, name)
	if err != nil {
		return Resumed{}, fmt.Errorf("resuming %s: %w", name, err)
	}
	return r, nil
}

func (b *boot) resume(ctx context.Context, name string) (Resumed, error) {
	if err := b.lockRoot(ctx); err != nil {
		return Resumed{}, err
	}
	m, err := b.layout.manifest(name)
	if err != nil {
		return Resumed{}, err
	}
	b.Version, b.Manifest = m.Version, m.Digest()
	r := Resumed{Version: m.Version, Manifest: m.Digest()}
	if r.As, err = b.restore(ctx, name, m); err != nil {
		return Resumed{}, err
	}
	if b.Config.Environment.Path != "" {
		err = b.writeEnvironment(ctx)
	}
	return r, err
}

// restore compares a release with its manifest and mounts it when it is to be
// mounted.
func (b *boot) restore(ctx context.Context, name string, m artifact.Manifest) (as string, err error) {
	at := filepath.Join(b.releases(), name)
	if _, err := os.Lstat(b.document(name)); errors.Is(err, fs.ErrNotExist) {
		return AsDirectory, artifact.Check(at, m)
	}
	text, err := os.ReadFile(b.volume(name))
	if errors.Is(err, fs.ErrNotExist) {
		if err := artifact.CheckImage(ctx, b.image(name), m); err != nil {
			return "", err
		}
		return AsImage, b.mount(b.image(name), at)
	}
	var v mountedVolume
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		return "", fmt.Errorf("reading %q: %w", b.volume(name), err)
	}
	disk, err := awaitDisk(ctx, v.Disk, volumePatience)
	if err != nil {
		return "", fmt.Errorf("looking for the release volume of %s: %w", v.Snapshot, err)
	}
	if err := artifact.CheckVolume(ctx, disk, v.Image); err != nil {
		return "", err
	}
	return AsVolume, b.mount(disk, at)
}

// Text is what was resumed, for people.
func (r Resumed) Text() string {
	if r.Version == "" {
		return "this node has served nothing yet"
	}
	return strings.Join([]string{"resumed", string(r.Version), r.Manifest.Short(), "as", r.As}, " ")
}
