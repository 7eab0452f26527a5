package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// objectMetadata is the documents about everything but content, as JSON files:
//
//	buckets/NAME/bucket.json                  the bucket; without it the rest is rubble
//	buckets/NAME/keys/12/1234…json            what one key holds, by the key's SHA-256
//	buckets/NAME/uploads/ID/upload.json       a multipart upload; likewise
//	buckets/NAME/uploads/ID/00001.json        a part of it
//
// Each is replaced as a whole and is on disk when its method returns. Without
// a directory nothing is kept.
type objectMetadata struct{ dir string }

// keyMetadata is what the document of a key holds.
type keyMetadata struct {
	Key      string
	Versions history
}

func (m objectMetadata) saveBucket(b *bucket) error {
	return m.save(filepath.Join(b.Name, "bucket.json"), b)
}

func (m objectMetadata) removeBucket(name string) error {
	return m.removeTree(name, "bucket.json")
}

func (m objectMetadata) saveKey(bucket, key string, h history) error {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	path := filepath.Join(bucket, "keys", name[:2], name+".json")
	if len(h) > 0 {
		return m.save(path, keyMetadata{key, h})
	}
	if m.dir == "" {
		return nil
	}
	if err := os.Remove(m.path(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(m.path(path)))
}

func (m objectMetadata) saveUpload(bucket string, u *upload) error {
	return m.save(filepath.Join(bucket, "uploads", u.ID, "upload.json"), u)
}

func (m objectMetadata) savePart(bucket, upload string, part part) error {
	return m.save(filepath.Join(bucket, "uploads", upload, fmt.Sprintf("%05d.json", part.Number)), part)
}

func (m objectMetadata) removeUpload(bucket, upload string) error {
	return m.removeTree(filepath.Join(bucket, "uploads", upload), "upload.json")
}

func (m objectMetadata) path(name string) string { return filepath.Join(m.dir, "buckets", name) }

func (m objectMetadata) save(name string, v any) error {
	if m.dir == "" {
		return nil
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := m.path(name)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	return replaceFile(path, body)
}

// removeTree removes a directory, first of all the document that gives the
// rest its meaning.
func (m objectMetadata) removeTree(name, head string) error {
	if m.dir == "" {
		return nil
	}
	if err := os.Remove(filepath.Join(m.path(name), head)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := syncDir(m.path(name)); err != nil {
		return err
	}
	return os.RemoveAll(m.path(name))
}

// replaceFile puts body at path, durably and in one step.
func replaceFile(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(body); err != nil {
		f.Close()
		return err
	}
	if err := closeSynced(f); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func closeSynced(f *os.File) error {
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// makeDir makes a directory and what leads to it, durably.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// load reads everything back, once, before the first request.
func (s *Service) load() error {
	if s.objectMetadata.dir == "" {
		return nil
	}
	buckets, err := os.ReadDir(filepath.Join(s.objectMetadata.dir, "buckets"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range buckets {
		if err := s.loadBucket(entry.Name()); err != nil {
			return fmt.Errorf("reading bucket %q: %w", entry.Name(), err)
		}
	}
	return s.blobs.sweep()
}

func (s *Service) loadBucket(name string) error {
	dir := s.objectMetadata.path(name)
	b := newBucket(name)
	err := readFile(filepath.Join(dir, "bucket.json"), b)
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(dir)
	}
	if err != nil {
		return err
	}
	s.buckets[name] = b
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		switch inside, _ := filepath.Rel(dir, path); {
		case strings.HasPrefix(entry.Name(), "new-"):
			return os.Remove(path)
		case strings.HasPrefix(inside, "keys"):
			return s.loadKey(b, path)
		case entry.Name() == "upload.json":
			return s.loadUpload(b, path)
		}
		return nil
	})
}

func (s *Service) loadKey(b *bucket, path string) error {
	var document keyMetadata
	if err := readFile(path, &document); err != nil {
		return err
	}
	b.set(document.Key, document.Versions)
	for _, o := range document.Versions {
		s.sequence.Store(max(s.sequence.Load(), o.Sequence))
		s.blobs.hold(o.Parts...)
	}
	return nil
}

func (s *Service) loadUpload(b *bucket, path string) error {
	u := &upload{parts: map[int]part{}}
	if err := readFile(path, u); err != nil {
		return err
	}
	b.uploads[u.ID] = u
	s.sequence.Store(max(s.sequence.Load(), u.Sequence))
	parts, err := filepath.Glob(filepath.Join(filepath.Dir(path), "[0-9]*.json"))
	if err != nil {
		return err
	}
	for _, path := range parts {
		var p part
		if err := readFile(path, &p); err != nil {
			return err
		}
		u.parts[p.Number] = p
		s.blobs.hold(p)
	}
	return nil
}

func readFile(path string, v any) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("reading %q: %w", path, err)
	}
	return nil
}
