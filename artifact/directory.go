package artifact

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// directory is a release as a directory. Everything is written below one
// directory, through descents, and only directories, files and the links that
// the index declares; no link exists before the last file is written.
type directory struct {
	*place
	manifest []byte
	tree     *os.Root // what is unpacked into; nil before open
	root     *os.File // the same
	exact    bool     // modes come out as asked for, whatever the umask says
	entries  []entry
}

func (d *directory) open(x *index) error {
	if err := d.begin(); err != nil {
		return err
	}
	if err := d.parent.Mkdir(d.name+partial, dirMode); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	var err error
	if d.tree, err = d.parent.OpenRoot(d.name + partial); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if d.root, err = d.tree.Open("."); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if _, err := d.root.Readdirnames(1); err != io.EOF || !d.stands(d.root, d.name+partial) {
		return d.swapped()
	}
	info, err := d.root.Stat()
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	// Every bit of a file's mode is one of a directory's.
	d.exact = info.Mode().Perm() == dirMode
	if err := d.root.Chmod(dirMode); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	d.entries = x.entries
	w := d.descent()
	defer w.close()
	for i := range d.entries {
		if e := &d.entries[i]; e.kind == kindDir {
			if err := w.in(e.path, "mkdirat", d.makeDir); err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
		}
	}
	return nil
}

func (d *directory) descent() *descent { return &descent{root: int(d.root.Fd())} }

func (d *directory) makeDir(dir int, name string) error {
	if err := unix.Mkdirat(dir, name, dirMode); err != nil || d.exact {
		return err
	}
	// Fchmodat would follow a link that somebody put in its place.
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, dirMode)
}

func (d *directory) sink() sink { return &fileSink{directory: d, in: *d.descent(), fd: -1} }

// finish makes links, leaves the manifest, and sets the times of directories,
// whose content is complete now.
func (d *directory) finish(*unpacker) error {
	w := d.descent()
	defer w.close()
	for i := range d.entries {
		if e := &d.entries[i]; e.kind == kindLink {
			err := w.in(e.path, "symlinkat", func(dir int, name string) error { return unix.Symlinkat(e.target, dir, name) })
			if err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
		}
	}
	k := &fileSink{directory: d, in: *d.descent(), fd: -1}
	defer k.close()
	if err := k.whole(unpackedManifest, d.manifest); err != nil {
		return err
	}
	for i := range d.entries {
		if e := &d.entries[i]; e.kind == kindDir {
			err := w.in(e.path, "utimensat", func(dir int, name string) error { return setTime(dir, name, e.modTime().Unix()) })
			if err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
		}
	}
	return nil
}

func (d *directory) sync() error {
	if err := syncTree(d.root); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	return nil
}

func (d *directory) reveal() error { return d.publish(d.root) }

// close removes what was unpacked and not revealed, whatever its name is by now.
func (d *directory) close() {
	if d.tree == nil {
		return
	}
	if all, err := d.tree.Open("."); d.begun && err == nil {
		names, _ := all.Readdirnames(-1)
		for _, name := range names {
			d.tree.RemoveAll(name)
		}
		all.Close()
	}
	if d.root != nil {
		d.root.Close()
	}
	d.tree.Close()
}

// fileSink writes files, one after the other.
type fileSink struct {
	*directory
	in descent
	fd int // of the open file, or -1
}

func (k *fileSink) write(i int, off int64, p []byte) error {
	name := k.entries[i].path
	if off == 0 {
		if err := k.create(name); err != nil {
			return err
		}
	}
	return k.append(name, p)
}

func (k *fileSink) create(p string) error {
	err := k.in.in(p, "openat", func(dir int, name string) (err error) {
		k.fd, err = unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, fileMode)
		if err != nil {
			k.fd = -1
		}
		return err
	})
	if err == nil && !k.exact {
		err = os.NewSyscallError("fchmod", unix.Fchmod(k.fd, fileMode))
	}
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	return nil
}

func (k *fileSink) append(name string, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(k.fd, p)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("unpacking: %w", &os.PathError{Op: "write", Path: name, Err: err})
		}
		p = p[n:]
	}
	return nil
}

// end gives a file its content's time.
func (k *fileSink) end(i int) error {
	e := &k.entries[i]
	if e.size == 0 {
		if err := k.create(e.path); err != nil {
			return err
		}
	}
	if err := k.shut(e.path); err != nil {
		return err
	}
	err := k.in.in(e.path, "utimensat", func(dir int, name string) error { return setTime(dir, name, e.modTime().Unix()) })
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	return nil
}

func (k *fileSink) shut(name string) error {
	err := unix.Close(k.fd)
	k.fd = -1
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("unpacking: %w", &os.PathError{Op: "close", Path: name, Err: err})
	}
	return nil
}

// whole writes a small file beside what was unpacked.
func (k *fileSink) whole(name string, b []byte) error {
	if err := k.create(name); err != nil {
		return err
	}
	if err := k.append(name, b); err != nil {
		return err
	}
	return k.shut(name)
}

func (k *fileSink) flush() error { return nil }

func (k *fileSink) close() {
	if k.fd >= 0 {
		unix.Close(k.fd)
	}
	k.in.close()
}
