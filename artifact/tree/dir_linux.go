package tree

import (
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is an open directory of a tree. Names given to it are single parts of a
// path, and links are never followed: nothing outside the tree is reached,
// whatever somebody puts in a name's place. It asks the kernel directly, since
// package os makes three more calls for every file that it opens.
type Dir struct{ fd int }

// OpenDir opens a tree's own directory.
func OpenDir(path string) (Dir, error) {
	d, err := openAt(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY)
	return Dir{d}, wrap("open", path, err)
}

// Close closes the directory.
func (d Dir) Close() error { return unix.Close(d.fd) }

// open opens a directory in d.
func (d Dir) open(name string) (Dir, error) {
	fd, err := openAt(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	return Dir{fd}, wrap("open", name, err)
}

// file opens a file in d. A pipe put in its place does not block.
func (d Dir) file(name string) (file, error) {
	fd, err := openAt(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	return file{fd}, wrap("open", name, err)
}

// names appends the names in d to names, in no order. buf is scratch.
func (d Dir) names(names []string, buf []byte) ([]string, error) {
	for {
		n, err := again(func() (int, error) { return unix.ReadDirent(d.fd, buf) })
		if err != nil {
			return names, wrap("readdirent", ".", err)
		}
		if n <= 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

func (d Dir) stat(name string) (Stamp, error) {
	var st unix.Stat_t
	_, err := again(func() (int, error) { return 0, unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return rawStamp(&st), wrap("lstat", name, err)
}

// self is the stamp of the directory itself.
func (d Dir) self() (Stamp, error) { return file(d).stat() }

func (d Dir) readlink(name string) (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		n, err := again(func() (int, error) { return unix.Readlinkat(d.fd, name, b) })
		if err != nil {
			return "", wrap("readlink", name, err)
		}
		if n < size {
			return string(b[:n]), nil
		}
	}
}

// file is an open file of a tree.
type file struct{ fd int }

// Close closes the file.
func (f file) Close() error { return unix.Close(f.fd) }

func (f file) read(b []byte) (int, error) {
	n, err := again(func() (int, error) { return unix.Read(f.fd, b) })
	return max(n, 0), wrap("read", "file", err)
}

func (f file) stat() (Stamp, error) {
	var st unix.Stat_t
	_, err := again(func() (int, error) { return 0, unix.Fstat(f.fd, &st) })
	return rawStamp(&st), wrap("stat", "file", err)
}

func openAt(at int, name string, flags int) (int, error) {
	return again(func() (int, error) { return unix.Openat(at, name, flags|unix.O_CLOEXEC, 0) })
}

// again repeats a call that a signal interrupted, as some file systems let it.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// rawStamp is what stampOf makes of the same file's FileInfo.
func rawStamp(st *unix.Stat_t) Stamp {
	return Stamp{
		Dev: uint64(st.Dev), Ino: st.Ino, Mode: fileModeOf(st.Mode), Size: st.Size,
		Mtime: time.Unix(st.Mtim.Unix()).UnixNano(), Ctime: time.Unix(st.Ctim.Unix()).UnixNano(),
	}
}

func fileModeOf(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	if mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}
