package s3

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// blobs keep content under the hex of its SHA-256, each once, for as long as
// somebody holds it. With a directory they are files, else they are memory.
type blobs struct {
	dir string

	mu    sync.Mutex
	holds map[string]int
	bytes map[string][]byte // without a directory
}

func openBlobs(dir string) (*blobs, error) {
	b := &blobs{holds: map[string]int{}, bytes: map[string][]byte{}}
	if dir == "" {
		return b, nil
	}
	b.dir = filepath.Join(dir, "blobs")
	if err := makeDir(b.dir); err != nil {
		return nil, err
	}
	// Nothing is being written yet: what is there was left by a crash.
	if err := os.RemoveAll(b.incoming()); err != nil {
		return nil, err
	}
	return b, makeDir(b.incoming())
}

func (b *blobs) incoming() string { return filepath.Join(b.dir, "incoming") }

func (b *blobs) path(name string) string { return filepath.Join(b.dir, name[:2], name) }

// draft is content on its way in.
type draft struct {
	blobs  *blobs
	file   *os.File // nil in memory
	memory bytes.Buffer
}

// create begins new content of about size bytes.
func (b *blobs) create(size int64) (*draft, error) {
	d := &draft{blobs: b}
	if b.dir == "" {
		d.memory.Grow(int(min(size, 16<<20)))
		return d, nil
	}
	var err error
	d.file, err = os.CreateTemp(b.incoming(), "")
	return d, err
}

func (d *draft) Write(p []byte) (int, error) {
	if d.file != nil {
		return d.file.Write(p)
	}
	return d.memory.Write(p)
}

// drop forgets the draft; after keep it does nothing.
func (d *draft) drop() {
	if d.file != nil {
		d.file.Close()
		os.Remove(d.file.Name())
	}
}

// keep makes a blob of the draft, on disk and held once.
func (d *draft) keep(name string) error {
	b := d.blobs
	if d.file == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.bytes[name] = d.memory.Bytes()
		b.holds[name]++
		return nil
	}
	if err := closeSynced(d.file); err != nil {
		return err
	}
	if err := makeDir(filepath.Dir(b.path(name))); err != nil {
		return err
	}
	b.mu.Lock()
	err := os.Rename(d.file.Name(), b.path(name))
	if err == nil {
		b.holds[name]++
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(b.path(name)))
}

// hold counts further users of the parts' content.
func (b *blobs) hold(parts ...part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range parts {
		b.holds[p.Blob]++
	}
}

// release gives up one hold on each part's content. Who reads it goes on.
func (b *blobs) release(parts ...part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range parts {
		b.holds[p.Blob]--
		if b.holds[p.Blob] > 0 {
			continue
		}
		delete(b.holds, p.Blob)
		delete(b.bytes, p.Blob)
		if b.dir != "" {
			// A file that stays costs room until the next sweep, no more.
			_ = os.Remove(b.path(p.Blob))
		}
	}
}

// sweep removes the files that nobody holds.
func (b *blobs) sweep() error {
	return filepath.WalkDir(b.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || b.holds[entry.Name()] > 0 {
			return err
		}
		return os.Remove(path)
	})
}

// content is an object's parts, opened for reading one after the other.
type content struct {
	open  []section
	files []*os.File
}

type section struct {
	io.ReaderAt
	size int64
}

// read opens the parts. What was opened stays readable when it is released.
func (b *blobs) read(parts []part) (*content, error) {
	c := &content{}
	for _, p := range parts {
		if b.dir == "" {
			b.mu.Lock()
			body, ok := b.bytes[p.Blob]
			b.mu.Unlock()
			if !ok {
				return nil, errors.Join(fs.ErrNotExist, c.Close())
			}
			c.open = append(c.open, section{bytes.NewReader(body), p.Size})
			continue
		}
		f, err := os.Open(b.path(p.Blob))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.files = append(c.files, f)
		c.open = append(c.open, section{f, p.Size})
	}
	return c, nil
}

// slice reads n bytes from off.
func (c *content) slice(off, n int64) io.Reader {
	var readers []io.Reader
	for _, s := range c.open {
		if off < s.size && n > 0 {
			take := min(n, s.size-off)
			readers = append(readers, io.NewSectionReader(s, off, take))
			n -= take
			off = 0
			continue
		}
		off -= min(off, s.size)
	}
	return io.MultiReader(readers...)
}

// Close closes the parts.
func (c *content) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
