package runner

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// A machine's disk is what it has beyond the host's file system. As an archive
// it is a tar file of that difference; what was deleted is in it as overlayfs
// has it, a character device 0:0.

const xattrRecord = "SCHILY.xattr."

// layer is a directory that holds a part of a machine's disk.
type layer struct {
	at  string // of the machine's file system, "" for all
	dir string
}

// layers are the parts of a machine's disk, the whole first.
func (r *Runner) layers(dir string) ([]layer, error) {
	if r.opts.Kind == Plain {
		return []layer{{"", filepath.Join(dir, "root")}}, nil
	}
	found := []layer{{"", filepath.Join(dir, "upper")}}
	mounts, err := hostMounts()
	for i, at := range mounts {
		found = append(found, layer{strings.TrimPrefix(at, "/"), filepath.Join(dir, mountDir(i), "upper")})
	}
	return found, err
}

func mountDir(i int) string { return filepath.Join("mounts", strconv.Itoa(i)) }

// Capture writes a machine's disk as an archive.
func (r *Runner) Capture(ctx context.Context, m ec2.Machine, into io.Writer) error {
	layers, err := r.layers(m.Dir)
	if err != nil {
		return err
	}
	c := &capture{out: tar.NewWriter(into), linked: map[[2]uint64]string{}}
	for _, l := range layers {
		err := filepath.WalkDir(l.dir, func(file string, entry fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // in a machine that runs, or a mount that it does not have
			}
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(l.dir, file)
			if err != nil || rel == "." {
				return err
			}
			name := path.Join(l.at, filepath.ToSlash(rel))
			if r.isVolatile(name) {
				return fs.SkipDir
			}
			return c.add(name, file)
		})
		if err != nil {
			return fmt.Errorf("reading the disk of %q: %w", m.ID, err)
		}
	}
	return c.out.Close()
}

// isVolatile finds directories that a reboot empties. In overlay machines they
// are no part of the disk anyway.
func (r *Runner) isVolatile(name string) bool {
	return r.opts.Kind == Plain && (name == "tmp" || name == "run" || name == "dev")
}

// capture writes files into an archive.
type capture struct {
	out    *tar.Writer
	linked map[[2]uint64]string // first name by device and inode, of files with several
}

func (c *capture) add(name, file string) error {
	var stat unix.Stat_t
	if err := unix.Lstat(file, &stat); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	header := &tar.Header{
		Name: name, Mode: int64(stat.Mode & 0o7777), Uid: int(stat.Uid), Gid: int(stat.Gid), Format: tar.FormatPAX,
		ModTime: time.Unix(stat.Mtim.Unix()), PAXRecords: xattrs(file),
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
	case unix.S_IFLNK:
		target, err := os.Readlink(file)
		if err != nil {
			return err
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, target
	case unix.S_IFCHR:
		header.Typeflag, header.Devmajor, header.Devminor = tar.TypeChar, int64(unix.Major(stat.Rdev)), int64(unix.Minor(stat.Rdev))
	case unix.S_IFBLK:
		header.Typeflag, header.Devmajor, header.Devminor = tar.TypeBlock, int64(unix.Major(stat.Rdev)), int64(unix.Minor(stat.Rdev))
	case unix.S_IFIFO:
		header.Typeflag = tar.TypeFifo
	case unix.S_IFREG:
		return c.addFile(header, file, &stat)
	default:
		return nil // a socket: whoever listened does so no more
	}
	return c.out.WriteHeader(header)
}

func (c *capture) addFile(header *tar.Header, file string, stat *unix.Stat_t) error {
	inode := [2]uint64{uint64(stat.Dev), stat.Ino}
	if first, again := c.linked[inode]; again {
		header.Typeflag, header.Linkname = tar.TypeLink, first
		return c.out.WriteHeader(header)
	}
	if stat.Nlink > 1 {
		c.linked[inode] = header.Name
	}
	content, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer content.Close()
	header.Typeflag, header.Size = tar.TypeReg, stat.Size
	if err := c.out.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(c.out, io.LimitReader(content, stat.Size))
	if err != nil {
		return err
	}
	_, err = io.CopyN(c.out, zeros{}, stat.Size-n) // cut by a machine that runs
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// xattrs are a file's attributes that matter on another disk. Where overlayfs
// found it on the host does not.
func xattrs(file string) map[string]string {
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(file, names)
	if err != nil {
		return nil // the file system has none
	}
	records := map[string]string{}
	for _, name := range strings.Split(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(file, name, value)
		if err == nil && keepsXattr(name) {
			records[xattrRecord+name] = string(value[:n])
		}
	}
	return records
}

func keepsXattr(name string) bool {
	switch name {
	case "trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.overlay.metacopy", "security.capability":
		return true
	}
	return strings.HasPrefix(name, "user.")
}

// unpackRoot puts an image's archive on a machine's new disk. One that was
// started before has its disk already; one whose first start was cut begins
// anew.
func (r *Runner) unpackRoot(m ec2.Machine, dir string) error {
	mark := filepath.Join(dir, "unpacked")
	if _, err := os.Lstat(mark); m.Root == nil || err == nil {
		return nil
	}
	layers, err := r.layers(dir)
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := os.RemoveAll(l.dir); err != nil {
			return err
		}
	}
	if err := unpackArchive(m.Root, layers); err != nil {
		return fmt.Errorf("unpacking image %q: %w", m.ImageID, err)
	}
	return os.WriteFile(mark, nil, 0o600)
}

func unpackArchive(archive io.Reader, layers []layer) error {
	u := &unpacking{layers: layers, roots: map[string]*os.Root{}}
	defer u.close()
	for in := tar.NewReader(archive); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil {
			return fmt.Errorf("it is no disk of the local cloud: %w", err)
		}
		if err := u.add(header, in); err != nil {
			return fmt.Errorf("%q: %w", header.Name, err)
		}
	}
}

// unpacking writes an archive's members, never outside of its layers.
type unpacking struct {
	layers []layer
	roots  map[string]*os.Root
	dirs   []*tar.Header // whose times are set at last
}

func (u *unpacking) close() {
	for _, root := range u.roots {
		_ = root.Close() // only read from here on
	}
}

// place is where a name belongs: the last layer that has it.
func (u *unpacking) place(name string) (*os.Root, string, error) {
	name = path.Clean(name)
	if !filepath.IsLocal(name) {
		return nil, "", errors.New("lies outside of the disk")
	}
	chosen, rel := u.layers[0], name
	for _, l := range u.layers[1:] {
		if name == l.at || strings.HasPrefix(name, l.at+"/") {
			chosen, rel = l, strings.TrimPrefix(strings.TrimPrefix(name, l.at), "/")
		}
	}
	if rel == "" {
		rel = "."
	}
	if u.roots[chosen.dir] == nil {
		if err := os.MkdirAll(chosen.dir, 0o755); err != nil {
			return nil, "", err
		}
		root, err := os.OpenRoot(chosen.dir)
		if err != nil {
			return nil, "", err
		}
		u.roots[chosen.dir] = root
	}
	return u.roots[chosen.dir], rel, nil
}

func (u *unpacking) add(header *tar.Header, content io.Reader) error {
	root, name, err := u.place(header.Name)
	if err != nil {
		return err
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		u.dirs = append(u.dirs, header)
	case tar.TypeReg:
		if err := writeFile(root, name, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := root.Symlink(header.Linkname, name); err != nil {
			return err
		}
	case tar.TypeLink:
		other, first, err := u.place(header.Linkname)
		if err != nil || other != root {
			return errors.Join(err, errors.New("links to another file system"))
		}
		return root.Link(first, name)
	default:
		if os.Geteuid() != 0 {
			return nil // only root makes devices; a plain machine needs none
		}
		if err := makeNode(root, name, header); err != nil {
			return err
		}
	}
	return setAttributes(root, name, header)
}

func writeFile(root *os.Root, name string, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// inDir gives the descriptor of the directory that a name lies in.
func inDir(root *os.Root, name string, do func(fd int, base string) error) error {
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(int(dir.Fd()), path.Base(name))
}

func makeNode(root *os.Root, name string, header *tar.Header) error {
	mode := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[header.Typeflag]
	if mode == 0 {
		return fmt.Errorf("is of a kind %q that no disk has", header.Typeflag)
	}
	return inDir(root, name, func(fd int, base string) error {
		return unix.Mknodat(fd, base, mode|0o600, int(unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor))))
	})
}

// setAttributes gives a file owner, mode, attributes and time; owners and
// trusted attributes only where root does it.
func setAttributes(root *os.Root, name string, header *tar.Header) error {
	if os.Geteuid() == 0 {
		if err := root.Lchown(name, header.Uid, header.Gid); err != nil {
			return err
		}
	}
	if header.Typeflag == tar.TypeSymlink {
		return nil
	}
	return inDir(root, name, func(fd int, base string) error {
		if err := unix.Fchmodat(fd, base, uint32(header.Mode&0o7777), 0); err != nil {
			return err
		}
		file := fmt.Sprintf("/proc/self/fd/%d/%s", fd, base)
		for key, value := range header.PAXRecords {
			attribute, ok := strings.CutPrefix(key, xattrRecord)
			if !ok || !keepsXattr(attribute) || os.Geteuid() != 0 && !strings.HasPrefix(attribute, "user.") {
				continue
			}
			if err := unix.Lsetxattr(file, attribute, []byte(value), 0); err != nil {
				return fmt.Errorf("setting %s: %w", attribute, err)
			}
		}
		return setTime(fd, base, header)
	})
}

func setTime(fd int, base string, header *tar.Header) error {
	at := unix.NsecToTimespec(header.ModTime.UnixNano())
	return unix.UtimesNanoAt(fd, base, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// finish sets directories' times, which changed as they were filled.
func (u *unpacking) finish() error {
	for _, header := range u.dirs {
		root, name, err := u.place(header.Name)
		if err == nil {
			err = inDir(root, name, func(fd int, base string) error { return setTime(fd, base, header) })
		}
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	return nil
}
