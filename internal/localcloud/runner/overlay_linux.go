package runner

import (
	"context"
	_ "embed" // the script
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

//go:embed overlay.sh
var overlayScript string

func (r *Runner) startOverlay(ctx context.Context, m ec2.Machine) (*process, error) {
	user, err := parseUserData(m.UserData)
	if err != nil {
		return nil, err
	}
	dir, remove, err := ownDir(m)
	if err != nil {
		return nil, err
	}
	args, err := r.prepareOverlay(m, dir, user)
	if err != nil {
		remove()
		return nil, err
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = dir
	cmd.Env = r.environ(m, "", "/root")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL, // and the kernel takes the rest of the pid namespace
	}
	p := &process{cmd: cmd, grace: r.opts.Grace, after: remove, shell: inside, dir: dir}
	p.belongs = func(int) bool { return false }
	if err := p.start(ctx, user.notes); err != nil {
		return nil, err
	}
	p.own, p.namespaces = inNamespace(cmd.Process.Pid), true
	p.belongs = p.own
	return p, nil
}

// inNamespace tells the processes in first's pid namespace, for as long as
// first lives. Should it have ended, its number may be anybody's: the host's
// own namespace is never taken for a machine's.
func inNamespace(first int) func(pid int) bool {
	own := pidNamespace(strconv.Itoa(first))
	if own == "" || own == pidNamespace("self") {
		return func(int) bool { return false }
	}
	return func(pid int) bool { return pidNamespace(strconv.Itoa(pid)) == own }
}

// pidNamespace names a process's pid namespace, "" when it can not be told.
func pidNamespace(pid string) string {
	name, _ := os.Readlink("/proc/" + pid + "/ns/pid")
	return name
}

// prepareOverlay makes a machine's layers and returns what the shell gets.
func (r *Runner) prepareOverlay(m ec2.Machine, dir string, user userData) ([]string, error) {
	if err := r.unpackRoot(m, dir); err != nil {
		return nil, err
	}
	if err := layOut(dir, m.Disks); err != nil {
		return nil, err
	}
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return nil, err
		}
	}
	if err := keepResolver(filepath.Join(dir, "upper")); err != nil {
		return nil, err
	}
	boot, err := install(filepath.Join(dir, "upper"), user)
	if err != nil {
		return nil, err
	}
	args := []string{"-c", overlayScript, "machine"}
	mounts, err := hostMounts()
	if err != nil {
		return nil, err
	}
	for i, at := range mounts {
		layers := mountDir(i)
		for _, name := range []string{"upper", "work"} {
			if err := os.MkdirAll(filepath.Join(dir, layers, name), 0o755); err != nil {
				return nil, err
			}
		}
		args = append(args, "overlay", at, layers)
	}
	for _, bind := range r.hidden() {
		args = append(args, "bind", bind)
	}
	return append(append(args, "--"), boot...), nil
}

// hidden are the directories of PATH that a machine would not see: those in
// what it has of its own, and those on other file systems.
func (r *Runner) hidden() []string {
	var root syscall.Stat_t
	_ = syscall.Stat("/", &root)
	var found []string
	for _, dir := range r.opts.Path {
		dir, err := filepath.EvalSymlinks(dir)
		var stat syscall.Stat_t
		if err != nil || syscall.Stat(dir, &stat) != nil {
			continue // not there on the host either
		}
		if stat.Dev != root.Dev || under(dir, "/tmp") || under(dir, "/run") {
			found = append(found, dir)
		}
	}
	return found
}

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// hostMounts are the host's further file systems on disks, by path: an overlay
// of / shows only empty directories in their places.
func hostMounts() ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return diskMounts(string(table)), nil
}

func diskMounts(table string) []string {
	var found []string
	for line := range strings.Lines(table) {
		before, after, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) == 0 {
			continue
		}
		at := unescapeMount(fields[4])
		if info, err := os.Stat(at); err != nil || !info.IsDir() || strings.ContainsAny(at, ",:\\") {
			continue
		}
		if at != "/" && onDisk(kind[0]) && !slices.ContainsFunc([]string{"/proc", "/sys", "/dev", "/run", "/tmp"},
			func(own string) bool { return under(at, own) }) {
			found = append(found, at)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// onDisk names the kinds of file system on which people keep systems.
func onDisk(kind string) bool {
	return slices.Contains([]string{
		"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "nfs", "nfs4", "virtiofs", "9p",
	}, kind)
}

// unescapeMount undoes the octal escapes of the mount table.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// keepResolver writes /etc/resolv.conf into the machine's layer where the
// host's is a link into /run, which the machine has its own of.
func keepResolver(upper string) error {
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil || !under(target, "/run") {
		return nil // nothing that would be lost
	}
	body, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(upper, "etc"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(upper, "etc/resolv.conf"), body, 0o644)
}
