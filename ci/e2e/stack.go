package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options say what a stack is made of. All fields but Runner and Log are needed.
type Options struct {
	Dir    string    // everything lies in it; must not exist
	Wpbake string    // the program
	Tree   string    // a WordPress tree with the files of this package; it is copied
	Speed  float64   // of AWS's clocks
	Nodes  int       // in the group
	Runner string    // of nodes: overlay, plain, or "" for what this user may
	Log    io.Writer // told of each part that stands; may be nil
}

// Names of what a stack makes in the local cloud.
const (
	Group  = "shop"
	Bucket = "releases"
	Store  = "s3://" + Bucket + "/shop"
)

// Stack is a shop that runs: a group of nodes without any release yet, behind
// a load balancer.
type Stack struct {
	Dir     string            `json:"dir"`
	Program string            `json:"program"` // wpbake
	Site    string            `json:"site"`    // URL of the load balancer
	Tree    Tree              `json:"tree"`    // the WordPress tree to edit and release
	Environ map[string]string `json:"environ"` // what any AWS client needs
	Servers map[string]int    `json:"servers"` // process ids

	sessions string   // memcached's address
	vars     settings // what WordPress takes from its environment
	log      io.Writer
}

// Start brings the whole stack up. What a failed start has made is stopped
// again; its directory stays, for its logs.
func Start(ctx context.Context, o Options) (*Stack, error) {
	s := &Stack{Dir: o.Dir, Program: o.Wpbake, Tree: Tree(filepath.Join(o.Dir, "tree")), Servers: map[string]int{}, log: o.Log}
	if s.log == nil {
		s.log = io.Discard
	}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, o Options) error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("making the stack's directory: %w", err)
	}
	if err := copyTree(o.Tree, string(s.Tree)); err != nil {
		return err
	}
	vars, err := s.startBackends(ctx)
	if err != nil {
		return err
	}
	if err := s.startCloud(ctx, o); err != nil {
		return err
	}
	if err := s.writeConfig(); err != nil {
		return err
	}
	return s.makeGroup(ctx, o.Nodes, vars)
}

// startBackends starts what the nodes share, with WordPress installed.
func (s *Stack) startBackends(ctx context.Context) (settings, error) {
	var ports [3]string
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	s.Site, s.sessions = "http://127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	vars := newSettings(s.Site, "127.0.0.1:"+ports[2])
	s.vars = vars
	database, err := startDatabase(ctx, s.Dir, vars)
	if err := s.keep(database, err); err != nil {
		return nil, err
	}
	memcached, err := startSessions(ctx, s.Dir, s.sessions)
	if err := s.keep(memcached, err); err != nil {
		return nil, err
	}
	s.say("MariaDB and memcached are up")
	if err := install(ctx, s.Dir, string(s.Tree), vars); err != nil {
		return nil, err
	}
	s.say("WordPress is installed in the database")
	return vars, nil
}

// StopDatabase ends MariaDB in order. Nodes are refused from then on.
func (s *Stack) StopDatabase() {
	(&process{name: "mariadb", pid: s.Servers["mariadb"]}).stop()
}

// StartDatabase starts MariaDB again, with all that it held.
func (s *Stack) StartDatabase(ctx context.Context) error {
	database, err := runDatabase(ctx, s.Dir, s.vars)
	return s.keep(database, err)
}

// keep writes down a server, also one that is up but not ready, so that Stop
// finds it.
func (s *Stack) keep(p *process, err error) error {
	if p != nil {
		s.Servers[p.name] = p.pid
		err = errors.Join(err, s.save())
	}
	return err
}

func (s *Stack) save() error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.Dir, "stack.json"), data, 0o600)
}

// Open finds a stack that was left running in dir; fs.ErrNotExist when there
// is none.
func Open(dir string) (*Stack, error) {
	data, err := os.ReadFile(filepath.Join(dir, "stack.json"))
	if err != nil {
		return nil, err
	}
	s := &Stack{log: io.Discard}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("reading what was left running: %w", err)
	}
	return s, nil
}

// Stop ends the instances, the local cloud and the servers. It may be called
// for a stack of which only a part runs.
func (s *Stack) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	if _, statErr := os.Stat(s.cloudDir()); !errors.Is(statErr, fs.ErrNotExist) {
		err = s.Run(ctx, "local", "stop", "--dir", s.cloudDir())
	}
	for name, pid := range s.Servers {
		if runs(pid, s.Dir) {
			(&process{name: name, pid: pid}).stop()
		}
	}
	return err
}

// Remove deletes what a stopped stack has left in dir. It refuses while
// something is mounted there: below it could lie the host's own files.
func Remove(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the stack: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			return fmt.Errorf("removing the stack: %q is still mounted", fields[4])
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the stack: %w", err)
	}
	return nil
}

func (s *Stack) cloudDir() string { return filepath.Join(s.Dir, "cloud") }

func (s *Stack) say(format string, args ...any) { fmt.Fprintf(s.log, "  "+format+"\n", args...) }

// startCloud starts the local cloud on a free port. An interrupt has to wait
// for it: half started, it could not be found again and stopped.
func (s *Stack) startCloud(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	out, err := s.output(ctx, "--json", "local", "start", "--dir", s.cloudDir(), "--port", "0",
		"--speed", strconv.FormatFloat(o.Speed, 'g', -1, 64), "--runner", o.Runner)
	if err != nil {
		return err
	}
	var started struct {
		URL     string            `json:"url"`
		Environ map[string]string `json:"environ"`
	}
	if err := json.Unmarshal(out, &started); err != nil {
		return fmt.Errorf("starting the local cloud: it answers %q: %w", out, err)
	}
	s.Environ = started.Environ
	s.say("the local cloud is up at %s", started.URL)
	return s.save()
}

// writeConfig writes the wpbake.yaml of the shop.
func (s *Stack) writeConfig() error {
	// PHP is not asked about the tree: the story wants a node to find out.
	config := fmt.Sprintf("tree: %s\nstore: %s\ngroup: %s\npoll: 500ms\ncheck:\n  cron: nobody, this shop has no jobs\n  php: \"off\"\n",
		s.Tree, Store, Group)
	if err := os.WriteFile(filepath.Join(s.Dir, "wpbake.yaml"), []byte(config), 0o644); err != nil {
		return fmt.Errorf("writing wpbake.yaml: %w", err)
	}
	return nil
}

// Adopt prepares the group for releases.
func (s *Stack) Adopt(ctx context.Context) error { return s.Run(ctx, "adopt", "--yes") }

// Wpbake is the command `wpbake ARGS` as a user of the shop runs it: beside
// its wpbake.yaml, with the local cloud's environment. An ending context
// interrupts it, as Ctrl-C does.
func (s *Stack) Wpbake(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.Program, args...)
	cmd.Dir = s.Dir
	cmd.Env = os.Environ()
	for k, v := range s.Environ {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// output runs wpbake and returns what it printed.
func (s *Stack) output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := s.Wpbake(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running wpbake %q: %w\n%s%s", args, err, out, stderr.Bytes())
	}
	return out, nil
}

// Run runs wpbake; an exit code other than 0 is an error.
func (s *Stack) Run(ctx context.Context, args ...string) error {
	_, err := s.output(ctx, args...)
	return err
}
