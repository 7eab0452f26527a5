package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountFlags keep an image what it is: content.
const mountFlags = unix.MS_RDONLY | unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC

// mountImage mounts an image read-only: the file itself where the kernel does
// that (6.12, on most file systems), else through a loop device that goes when
// the mount does.
func mountImage(image, at string) error {
	direct := unix.Mount(image, at, "erofs", mountFlags, "")
	if direct == nil {
		return nil
	}
	if errors.Is(direct, unix.EPERM) || errors.Is(direct, unix.ENODEV) {
		return os.NewSyscallError("mount", direct)
	}
	loop, err := attachLoop(image)
	if err != nil {
		return fmt.Errorf("%w (and directly: %w)", err, direct)
	}
	defer loop.Close() // the mount holds it from now on
	return os.NewSyscallError("mount", unix.Mount(loop.Name(), at, "erofs", mountFlags, ""))
}

// maxLoops is how often a loop device may be taken away under us.
const maxLoops = 20

func attachLoop(image string) (*os.File, error) {
	back, err := os.OpenFile(image, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for try := 0; ; try++ {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, os.NewSyscallError("asking for a loop device", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDONLY, 0)
		if err != nil {
			return nil, err
		}
		c := unix.LoopConfig{Fd: uint32(back.Fd())}
		c.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &c)
		if err == nil {
			return loop, nil
		}
		loop.Close()
		if err != unix.EBUSY || try == maxLoops {
			return nil, os.NewSyscallError("attaching a loop device", err)
		}
	}
}

// MountedFrom tells whether what is mounted at a place is this image.
func MountedFrom(at, image string) bool {
	all, err := MountsAt(at)
	if err != nil || len(all) != 1 || all[0].Kind != "erofs" || !all[0].ReadOnly {
		return false
	}
	if all[0].Source == image {
		return true
	}
	return strings.HasPrefix(all[0].Source, "/dev/loop") && loopHolds(all[0].Source, image)
}

func loopHolds(device, image string) bool {
	var st unix.Stat_t
	if unix.Stat(image, &st) != nil {
		return false
	}
	loop, err := os.Open(device)
	if err != nil {
		return false
	}
	defer loop.Close()
	info, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
	return err == nil && info.Inode == st.Ino && info.Device == st.Dev
}

// Mounted is one line of the kernel's table.
type Mounted struct {
	Kind, Source string
	ReadOnly     bool
}

// MountsAt lists what is mounted at a place, the uppermost last.
func MountsAt(at string) ([]Mounted, error) {
	at, err := filepath.EvalSymlinks(at)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(table), at), nil
}

// parseMounts reads the table that proc(5) describes.
func parseMounts(table, at string) (all []Mounted) {
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(table) {
		before, after, _ := strings.Cut(line, " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if len(where) < 6 || len(what) < 2 || plain.Replace(where[4]) != at {
			continue
		}
		all = append(all, Mounted{
			Kind: what[0], Source: plain.Replace(what[1]),
			ReadOnly: where[5] == "ro" || strings.HasPrefix(where[5], "ro,"),
		})
	}
	return all
}

// Unmount takes everything off a place at once. Programs that still use it
// keep it until they end.
func Unmount(at string) error {
	all, err := MountsAt(at)
	if err != nil {
		return err
	}
	for range all {
		if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmounting %q: %w", at, err)
		}
	}
	return nil
}
