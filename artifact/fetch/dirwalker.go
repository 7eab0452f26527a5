package fetch

import (
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// dirWalker opens directories below a root one name at a time, never through a
// link, and keeps those open that lead to the last one. It is what an os.Root
// for each directory would be, without an entry in the runtime's poller for
// each of thousands of files.
type dirWalker struct {
	root  int
	above []openDir // outermost first
}

type openDir struct {
	path string
	fd   int
}

// enter returns the directory at rel, which is open until the next call.
func (w *dirWalker) enter(rel string) (int, error) {
	for len(w.above) > 0 {
		top := w.above[len(w.above)-1]
		if rel == top.path {
			return top.fd, nil
		}
		if strings.HasPrefix(rel, top.path) && rel[len(top.path)] == '/' {
			break
		}
		w.leave()
	}
	fd, done := w.root, 0
	if len(w.above) > 0 {
		top := w.above[len(w.above)-1]
		fd, done = top.fd, len(top.path)+1
	}
	for rel != "." && done < len(rel) {
		end := len(rel)
		if i := strings.IndexByte(rel[done:], '/'); i >= 0 {
			end = done + i
		}
		var err error
		if fd, err = openDirAt(fd, rel[done:end]); err != nil {
			return -1, &os.PathError{Op: "openat", Path: rel[:end], Err: err}
		}
		w.above = append(w.above, openDir{rel[:end], fd})
		done = end + 1
	}
	return fd, nil
}

func (w *dirWalker) leave() {
	top := w.above[len(w.above)-1]
	w.above = w.above[:len(w.above)-1]
	unix.Close(top.fd)
}

func (w *dirWalker) close() {
	for len(w.above) > 0 {
		w.leave()
	}
}

func openDirAt(dir int, name string) (fd int, err error) {
	err = retried(func() error {
		fd, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// retried calls a system call again that a signal interrupted.
func retried(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// in runs a call on the directory that holds p, and names p in its error.
func (w *dirWalker) in(p, op string, call func(dir int, name string) error) error {
	dir, err := w.enter(path.Dir(p))
	if err != nil {
		return err
	}
	if err := retried(func() error { return call(dir, path.Base(p)) }); err != nil {
		return &os.PathError{Op: op, Path: p, Err: err}
	}
	return nil
}

func setTime(dir int, name string, seconds int64) error {
	t := unix.NsecToTimespec(seconds * 1e9) // its fields' size is the processor's
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
