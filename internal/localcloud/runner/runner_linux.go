package runner

import (
	"context"
	_ "embed" // the script
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// Runner starts machines.
type Runner struct {
	opts  Options
	start func(context.Context, ec2.Machine) (*process, error)
}

// New chooses the kind of machine. Without Options.Kind these are overlay
// machines if the process is root and one can be started, else plain ones.
func New(opts Options) (*Runner, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	r := &Runner{opts: opts.withDefaults()}
	if r.opts.Kind == Plain {
		r.start = r.startPlain
		return r, nil
	}
	r.start = r.startOverlay
	err := r.probe()
	if err == nil {
		r.opts.Kind = Overlay
		return r, nil
	}
	if r.opts.Kind == Overlay {
		return nil, fmt.Errorf("trying an overlay machine: %w", err)
	}
	r.opts.Log.Info("machines are plain processes", "reason", err)
	r.opts.Kind, r.start = Plain, r.startPlain
	return r, nil
}

// Kind is the kind of machine that is started: Overlay or Plain.
func (r *Runner) Kind() string { return r.opts.Kind }

// Start boots a machine and returns without waiting for its user data. A
// machine without a directory of its own has a temporary one. User data runs at
// each start: what it would leave to systemd on EC2 has nobody else here.
func (r *Runner) Start(ctx context.Context, m ec2.Machine) (ec2.Process, error) {
	p, err := r.start(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("starting machine %q: %w", m.ID, err)
	}
	return p, nil
}

// probe starts an overlay machine that does nothing and ends it.
func (r *Runner) probe() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("making an overlay: not root")
	}
	dir, err := os.MkdirTemp(r.opts.Dir, "wpbake-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := r.startOverlay(context.Background(), ec2.Machine{ID: "i-probe", Address: "127.0.0.1", Dir: dir})
	if err != nil {
		return err
	}
	return p.Kill()
}

// environ is the environment of a machine's processes. Nothing of the local
// cloud's own gets in, least of all credentials.
func (r *Runner) environ(m ec2.Machine, root, home string) []string {
	path := strings.Join(append(append([]string(nil), r.opts.Path...), systemPath), ":")
	env := []string{
		"PATH=" + path, "HOME=" + home, "INSTANCE_ID=" + m.ID,
		"INSTANCE_ADDRESS=" + m.Address, "INSTANCE_ROOT=" + root,
	}
	return append(env, m.Environ...)
}

// Where cloud-init keeps the scripts of user data, and where ours is.
const (
	scriptDir = "/var/lib/cloud/instance/scripts"
	bootFile  = "/var/lib/cloud/instance/boot.sh"
)

//go:embed boot.sh
var bootScript []byte

// install writes the boot script and user data's scripts below root. It
// returns their paths there: what the first process gets.
func install(root string, u userData) ([]string, error) {
	if err := os.RemoveAll(filepath.Join(root, scriptDir)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(root, scriptDir), 0o755); err != nil {
		return nil, err
	}
	paths := []string{bootFile}
	bodies := [][]byte{bootScript}
	for i, s := range u.scripts {
		name := fmt.Sprintf("part-%03d", i+1)
		if base := filepath.Base(filepath.Clean("/" + s.name)); base != "/" {
			name += "-" + base
		}
		paths, bodies = append(paths, filepath.Join(scriptDir, name)), append(bodies, s.body)
	}
	for i, path := range paths {
		if err := os.WriteFile(filepath.Join(root, path), bodies[i], 0o700); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// ownDir is the machine's directory, and what removes one that was made here.
func ownDir(m ec2.Machine) (dir string, remove func(), err error) {
	if m.Dir != "" {
		return m.Dir, func() {}, os.MkdirAll(m.Dir, 0o755)
	}
	dir, err = os.MkdirTemp("", "wpbake-"+m.ID+"-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}
