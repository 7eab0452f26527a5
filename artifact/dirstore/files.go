package dirstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wpbake/wpbake/artifact"
)

// Objects up to this size have their digest for a revision. Larger ones, of
// which every range is asked for, are not read again for it.
const smallObject = 1 << 20

// revision changes with every write of other bytes. A large object's is its
// file: each write makes a new one while the old still exists.
func revision(f *os.File, info fs.FileInfo) (string, error) {
	if info.Size() > smallObject {
		sys, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return "", errors.New("reading revision: this system tells no file numbers")
		}
		return fmt.Sprintf("file:%x-%x-%x", sys.Ino, info.ModTime().UnixNano(), info.Size()), nil
	}
	d, err := digestOf(f)
	return string(d), err
}

func digestOf(f *os.File) (artifact.Digest, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return "", err
	}
	return artifact.DigestFromSum(h.Sum(nil)), nil
}

// copyBody writes a body and makes sure that it is the one it says it is.
func copyBody(ctx context.Context, w io.Writer, body artifact.Body) error {
	const piece = 4 << 20
	h := sha256.New()
	for off := int64(0); off < body.Size; off += piece {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(piece, body.Size-off)
		got, err := io.Copy(io.MultiWriter(w, h), io.NewSectionReader(body, off, n))
		if err != nil {
			return err
		}
		if got != n {
			return io.ErrUnexpectedEOF
		}
	}
	if artifact.DigestFromSum(h.Sum(nil)) != body.Digest {
		return errors.New("the body has another digest than was said")
	}
	return nil
}

// lock takes the store's write lock: an advisory lock on its directory, which
// ends with the process that holds it.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	f, err := s.root.Open(".")
	if err != nil {
		return nil, err
	}
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, os.NewSyscallError("flock", err)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}

func isNotDirectory(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
