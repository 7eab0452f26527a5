package fetch

import (
	"fmt"
	"io"
	"os"

	"github.com/wpbake/wpbake/artifact"
	"golang.org/x/sys/unix"
)

// directory is a release as a directory. Everything is written below one
// directory, through descents, and only directories, files and the links that
// the index declares; no link exists before the last file is written.
type directory struct {
	*stagingDir
	manifest []byte
	tree     *os.Root // what is unpacked into; nil before open
	root     *os.File // the same
	exact    bool     // modes come out as asked for, whatever the umask says
	entries  []artifact.Member
}

func (d *directory) open(x *artifact.Index) error {
	if err := d.begin(); err != nil {
		return err
	}
	if err := d.parent.Mkdir(d.name+partial, artifact.DirMode); err != nil {
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
	d.exact = info.Mode().Perm() == artifact.DirMode
	if err := d.root.Chmod(artifact.DirMode); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	d.entries = x.Members
	w := d.walker()
	defer w.close()
	for i := range d.entries {
		if e := &d.entries[i]; e.Kind == artifact.KindDir {
			if err := w.in(e.Path, "mkdirat", d.makeDir); err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
		}
	}
	return nil
}

func (d *directory) walker() *dirWalker { return &dirWalker{root: int(d.root.Fd())} }

func (d *directory) makeDir(dir int, name string) error {
	if err := unix.Mkdirat(dir, name, artifact.DirMode); err != nil || d.exact {
		return err
	}
	// Fchmodat would follow a link that somebody put in its place.
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, artifact.DirMode)
}

func (d *directory) sink() sink { return &fileSink{directory: d, in: *d.walker(), fd: -1} }

// finish makes links, leaves the manifest, and sets the times of directories,
// whose content is complete now.
func (d *directory) finish(*unpacker) error {
	w := d.walker()
	defer w.close()
	for i := range d.entries {
		if e := &d.entries[i]; e.Kind == artifact.KindLink {
			err := w.in(e.Path, "symlinkat", func(dir int, name string) error { return unix.Symlinkat(e.Target, dir, name) })
			if err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
		}
	}
	k := &fileSink{directory: d, in: *d.walker(), fd: -1}
	defer k.close()
	if err := k.whole(unpackedManifest, d.manifest); err != nil {
		return err
	}
	for i := range d.entries {
		if e := &d.entries[i]; e.Kind == artifact.KindDir {
			err := w.in(e.Path, "utimensat", func(dir int, name string) error { return setTime(dir, name, e.ModTime().Unix()) })
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

func (d *directory) commit() error { return d.stagingDir.commit(d.root) }

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
	in dirWalker
	fd int // of the open file, or -1
}

func (k *fileSink) write(i int, off int64, p []byte) error {
	name := k.entries[i].Path
	if off == 0 {
		if err := k.create(name); err != nil {
			return err
		}
	}
	return k.append(name, p)
}

func (k *fileSink) create(p string) error {
	err := k.in.in(p, "openat", func(dir int, name string) (err error) {
		k.fd, err = unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, artifact.FileMode)
		if err != nil {
			k.fd = -1
		}
		return err
	})
	if err == nil && !k.exact {
		err = os.NewSyscallError("fchmod", unix.Fchmod(k.fd, artifact.FileMode))
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
	if e.Size == 0 {
		if err := k.create(e.Path); err != nil {
			return err
		}
	}
	if err := k.shut(e.Path); err != nil {
		return err
	}
	err := k.in.in(e.Path, "utimensat", func(dir int, name string) error { return setTime(dir, name, e.ModTime().Unix()) })
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
