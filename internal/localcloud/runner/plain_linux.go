package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// markFile is kept open by a plain machine's processes, which do not know.
const markFile = "running"

func (r *Runner) startPlain(ctx context.Context, m ec2.Machine) (*process, error) {
	user, err := parseUserData(m.UserData)
	if err != nil {
		return nil, err
	}
	dir, remove, err := ownDir(m)
	if err != nil {
		return nil, err
	}
	p, err := r.preparePlain(m, dir, user)
	if err != nil {
		remove()
		return nil, err
	}
	p.after = func() {
		_ = end(p.belongs) // a machine without its first process is none
		remove()
	}
	// A local cloud that was killed left these behind.
	if err := end(p.belongs); err != nil {
		return nil, err
	}
	mark, err := os.Create(filepath.Join(dir, markFile))
	if err != nil {
		return nil, err
	}
	defer mark.Close()
	p.inherit = mark
	return p, p.start(ctx, user.notes)
}

func (r *Runner) preparePlain(m ec2.Machine, dir string, user userData) (*process, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // as /proc tells open files
		return nil, err
	}
	root := filepath.Join(dir, "root")
	if err := r.unpackRoot(m, dir); err != nil {
		return nil, err
	}
	if err := layOut(dir, m.Disks); err != nil {
		return nil, err
	}
	for _, name := range []string{"dev", "etc", "root", "run", "srv", "tmp", "var"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink(diskDir(dir), filepath.Join(root, "dev", "disk")); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	boot, err := install(root, user)
	if err != nil {
		return nil, err
	}
	for i := range boot {
		boot[i] = filepath.Join(root, boot[i])
	}
	cmd := exec.Command("/bin/sh", boot...)
	cmd.Dir = root
	cmd.Env = append(r.environ(m, root, filepath.Join(root, "root")), "TMPDIR="+filepath.Join(root, "tmp"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, grace: r.opts.Grace, dir: dir, shell: func(int) []string { return []string{"/bin/sh"} }}
	p.own = func(pid int) bool { return inSession(pid, cmd.Process) }
	p.belongs = func(pid int) bool {
		return p.own(pid) || hasVariable(pid, "INSTANCE_ROOT="+root) || hasOpen(pid, filepath.Join(dir, markFile))
	}
	return p, nil
}

func inSession(pid int, first *os.Process) bool {
	if first == nil {
		return false
	}
	session, err := unix.Getsid(pid)
	return err == nil && session == first.Pid
}

func hasVariable(pid int, variable string) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+variable+"\x00"))
}

func hasOpen(pid int, path string) bool {
	fds := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(fds)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(fds, entry.Name())); err == nil && target == path {
			return true
		}
	}
	return false
}
