package ami

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/internal/packerexec"
	"github.com/wpbake/wpbake/internal/scratch"
	"github.com/wpbake/wpbake/packer"
)

// Packer builds images by running the packer program on a template.
type Packer struct {
	Program  string // empty: packer, on PATH
	Template string // empty: the one in wpbake
	// Variables are the template's. One of somebody's own gets the same, as far
	// as it has them; what is empty here is left to its defaults.
	Variables map[string]string
	Environ   []string        // of this program, of which Packer gets what it needs
	Settings  []string        // environment that the template and the plugin read besides
	Force     <-chan struct{} // closed, it ends everything at once; nil never does
	Note      func(text string)
}

// Interrupted is a build that was told to stop.
type Interrupted struct{}

func (*Interrupted) Error() string { return "interrupted while Packer was building" }

// Hint says what becomes of what was made.
func (*Interrupted) Hint() string {
	return "wpbake sweep removes what Packer did not; the same command again starts over"
}

// Build returns the images that were made, by region. Packer is looked for now,
// when it is needed.
func (p Packer) Build(ctx context.Context) (map[string]string, error) {
	program, err := packerexec.Find(ctx, packerexec.Options{Program: p.Program, Environ: p.Environ})
	if err != nil {
		return nil, err
	}
	job := packerexec.Job{Command: "build", Template: p.Template, Variables: p.set(), Environ: p.Settings, Force: p.Force, Progress: p.note}
	if job.Template == "" {
		if err := program.Require(ctx, ownPlugins()...); err != nil {
			return nil, err
		}
		own, err := scratch.New("", "wpbake-scratch-")
		if err != nil {
			return nil, err
		}
		defer own.Remove()
		if err := os.CopyFS(own.Path, packer.Files); err != nil {
			return nil, err
		}
		job.Template, job.Dir = filepath.Join(own.Path, "release.pkr.hcl"), own.Path
	}
	artifacts, err := program.Run(ctx, job)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		// Not the cause, whose words say that nothing was changed: Packer gives
		// up the call that is under way, and does not know what it has made.
		return nil, &Interrupted{}
	}
	if err != nil {
		return nil, err
	}
	images := map[string]string{}
	for _, a := range artifacts {
		maps.Copy(images, a.Images())
	}
	return images, nil
}

// set are the variables that somebody set.
func (p Packer) set() map[string]string {
	set := maps.Clone(p.Variables)
	maps.DeleteFunc(set, func(_, value string) bool { return value == "" })
	return set
}

// ownPlugins are what the template in wpbake needs.
func ownPlugins() []packerexec.Plugin {
	return []packerexec.Plugin{{Source: "github.com/hashicorp/amazon", Least: "1.8.0"}, {Source: "github.com/wpbake/wpbake", Least: "0.1.0"}}
}

// note tells what Packer says.
func (p Packer) note(e packerexec.Event) {
	text, _, ok := e.Said()
	if !ok || p.Note == nil {
		return
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "==>")); line == "" {
			continue
		}
		// A line of a build begins with the build's name.
		if build, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(build, ".") && !strings.Contains(build, " ") {
			line = strings.TrimSpace(rest)
		}
		p.Note("packer: " + cmp.Or(line, "-"))
	}
}
