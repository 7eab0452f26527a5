package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// forgedWithSBOM is a release with all three objects.
func forgedWithSBOM(t *testing.T) (artifacttest.Memory, artifact.Digest) {
	t.Helper()
	f := forge(t)
	sbom := []byte(`{"bomFormat":"CycloneDX"}`)
	f.m.SBOM = &artifact.Blob{Digest: artifact.DigestOf(sbom), Size: int64(len(sbom))}
	s := f.seal(f.recompress())
	s[artifact.ReleasePrefix("v1")+artifact.SBOMName] = sbom
	return s, f.m.Digest()
}

// unreadBy wants both Verify and Fetch to refuse a release by a digest or a
// length alone: nothing was parsed or decoded of the bytes that are wrong.
// Fetch needs no bill of materials.
func unreadBy(t *testing.T, s artifacttest.Memory, pin artifact.Digest, dest, what string) {
	t.Helper()
	var d *artifact.Damaged
	if _, err := fetch.Verify(t.Context(), s, "v1", pin); !errors.As(err, &d) || !d.Unread {
		t.Errorf("%s: verified: %v", what, err)
	}
	if d != nil && strings.HasSuffix(d.Name, artifact.SBOMName) {
		return
	}
	if _, err := fetch.Release(t.Context(), s, fetch.Options{Version: "v1", Digest: pin, Dest: dest}); !errors.As(err, &d) || !d.Unread {
		t.Errorf("%s: fetched: %v", what, err)
	}
}

// Every byte of a release, flipped, is noticed before anything of it is
// parsed or decoded: of the artifact, the manifest, the bill of materials.
func TestFlippedBytes(t *testing.T) {
	s, pin := forgedWithSBOM(t)
	parent := artifacttest.InMemory(t)
	dest := filepath.Join(parent, "d")
	for name, b := range s {
		for i := range b {
			b[i] ^= 1 << (i % 8)
			unreadBy(t, s, pin, dest, fmt.Sprintf("byte %d of %d of %s", i, len(b), name))
			b[i] ^= 1 << (i % 8)
		}
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if _, err := fetch.Verify(t.Context(), s, "v1", pin); err != nil {
		t.Fatalf("unspoilt: %v", err)
	}
}

// Every object cut at any byte, and every object with bytes appended.
func TestTruncatedAndAppended(t *testing.T) {
	s, pin := forgedWithSBOM(t)
	parent := artifacttest.InMemory(t)
	dest := filepath.Join(parent, "d")
	for name, b := range s {
		for n := range b {
			s[name] = b[:n]
			unreadBy(t, s, pin, dest, fmt.Sprintf("%s cut at %d", name, n))
		}
		for _, tail := range [][]byte{{0}, b, []byte("\n"), artifacttest.Skippable(0x184D2A50, nil)} {
			s[name] = slices.Concat(b, tail)
			unreadBy(t, s, pin, dest, fmt.Sprintf("%s and %q", name, tail[:1]))
		}
		s[name] = b
	}
	delete(s, artifacttest.TarballObject)
	refuse(t, s, "it is not there")
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// Parts of one release in the place of another's.
func TestSwappedBetweenReleases(t *testing.T) {
	a, b := forge(t), forge(t)
	i := bytes.Index(b.plains[0], []byte("three\x00"))
	copy(b.plains[0][i:], "THREE") // of equal length, and of another release
	one, two := a.seal(a.recompress()), b.seal(b.recompress())
	pin := a.m.Digest()
	dest := filepath.Join(artifacttest.InMemory(t), "d")
	offset := 0
	for n, f := range a.index.Frames[:len(a.index.Frames)-1] {
		other := b.index.Frames[n]
		if f.Stored == other.Stored && !bytes.Equal(one[artifacttest.TarballObject][offset:][:f.Stored], two[artifacttest.TarballObject][offset:][:f.Stored]) {
			s := artifacttest.Memory{artifacttest.ManifestObject: one[artifacttest.ManifestObject], artifacttest.TarballObject: bytes.Clone(one[artifacttest.TarballObject])}
			copy(s[artifacttest.TarballObject][offset:], two[artifacttest.TarballObject][offset:][:f.Stored])
			unreadBy(t, s, pin, dest, fmt.Sprintf("frame %d", n))
		}
		offset += int(f.Stored)
	}
	s := artifacttest.Memory{artifacttest.ManifestObject: one[artifacttest.ManifestObject], artifacttest.TarballObject: two[artifacttest.TarballObject]}
	unreadBy(t, s, pin, dest, "artifact")
	s = artifacttest.Memory{artifacttest.ManifestObject: two[artifacttest.ManifestObject], artifacttest.TarballObject: one[artifacttest.TarballObject]}
	unreadBy(t, s, pin, dest, "manifest")
	unreadBy(t, s, b.m.Digest(), dest, "artifact again")
	if len(one[artifacttest.TarballObject]) == len(two[artifacttest.TarballObject]) {
		s = artifacttest.Memory{artifacttest.ManifestObject: one[artifacttest.ManifestObject], artifacttest.TarballObject: slices.Concat(one[artifacttest.TarballObject][:offset], two[artifacttest.TarballObject][offset:])}
		unreadBy(t, s, pin, dest, "index")
	}
	swap := artifacttest.Memory{artifacttest.ManifestObject: one[artifacttest.ManifestObject], artifacttest.TarballObject: slices.Concat(
		one[artifacttest.TarballObject][a.index.Frames[0].Stored:offset], one[artifacttest.TarballObject][:a.index.Frames[0].Stored], one[artifacttest.TarballObject][offset:])}
	unreadBy(t, swap, pin, dest, "frames in another order")
}

// cutShort is a store whose objects end before the length that it tells, or
// never.
type cutShort struct {
	artifacttest.Memory
	endless bool
}

func (c cutShort) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	o, err := c.Memory.Get(ctx, name, off, n)
	if err != nil || name != artifacttest.TarballObject {
		return o, err
	}
	o.ReadCloser = io.NopCloser(io.LimitReader(o.ReadCloser, 0))
	if c.endless {
		o.ReadCloser = io.NopCloser(zeros{})
	}
	return o, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A body that is shorter than its announced length, or endless, ends in one
// clear error after a bounded number of tries.
func TestBodiesOfOtherLength(t *testing.T) {
	f := forge(t)
	s := f.seal(f.recompress())
	for _, endless := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			parent := artifacttest.InMemory(t)
			_, err := fetch.Release(t.Context(), cutShort{s, endless}, fetch.Options{Version: "v1", Dest: filepath.Join(parent, "d")})
			var d *artifact.Damaged
			if endless && (!errors.As(err, &d) || !d.Unread) || !endless && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("endless %v: %v", endless, err)
			}
			if left, _ := os.ReadDir(parent); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

// Bytes that a zstd decoder takes and an artifact must not have, with all
// digests right.
func TestForeignFrames(t *testing.T) {
	header := func(b ...byte) []byte { return append([]byte{0x28, 0xb5, 0x2f, 0xfd}, b...) }
	hidden := artifacttest.Skippable(0x184D2A53, []byte("hidden"))
	for _, tt := range []struct {
		name   string
		stored func(honest []byte) []byte
		why    string
	}{
		{"hidden after it", func(b []byte) []byte { return slices.Concat(b, hidden) }, "does not end where it should"},
		{"hidden before it", func(b []byte) []byte { return slices.Concat(hidden, b) }, "is a skippable frame"},
		{"only hidden", func([]byte) []byte { return hidden }, "is a skippable frame"},
		{"an empty frame before it", func(b []byte) []byte { return slices.Concat(artifacttest.RawFrame(nil), b) }, "announces 0 bytes"},
		{"an empty frame after it", func(b []byte) []byte { return slices.Concat(b, artifacttest.RawFrame(nil)) }, "does not end where it should"},
		{"twice", func(b []byte) []byte { return slices.Concat(b, b) }, "does not end where it should"},
		{"zeros after it", func(b []byte) []byte { return append(bytes.Clone(b), 0, 0, 0, 0) }, "does not end where it should"},
		{"a dictionary", func([]byte) []byte { return header(0x21, 7, 1, 0, 0) }, "needs a dictionary"},
		{"a window of 2 GiB", func([]byte) []byte { return header(0x00, 0xa8, 1, 0, 0) }, "asks for a window"},
		{"a window of 3.75 TiB", func([]byte) []byte { return header(0x00, 0xff, 1, 0, 0) }, "asks for a window"},
		{"16 EiB announced", func([]byte) []byte {
			return append(header(0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 1, 0, 0)
		}, "announces 18446744073709551615 bytes"},
		{"a block without an end", func([]byte) []byte { return header(0x00, 0x58, 0xff, 0xff, 0xff) }, "does not end where it should"},
		{"blocks without a last one", func([]byte) []byte { return header(0x00, 0x58, 0, 0, 0, 0, 0, 0) }, "is cut short"},
		{"nothing but a magic", func([]byte) []byte { return header() }, "has no zstd header"},
		{"gzip", func([]byte) []byte { return []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00") }, "has no zstd header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := artifacttest.ParseRecipe(artifacttest.HonestRecipe)
			c, _ := r.Cook([]byte("x"), 60000)
			s := c.SignFrame(0, tt.stored)
			artifacttest.Bounded(t, func() { refuse(t, s, tt.why) })
		})
	}
}

// The index's frame is held to the same, and is a bomb no more than others.
func TestForeignIndexFrame(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	million := func(line string) []byte {
		return []byte("wpbake index 1\nencoder x\nplanner y\nframes 0\nentries 1000000\n" + strings.Repeat(line, 1_000_000))
	}
	for name, frame := range map[string][]byte{
		"a bomb of zeros":                 enc.EncodeAll(make([]byte, artifact.MaxIndex), nil),
		"a bomb beyond the limit":         enc.EncodeAll(make([]byte, artifact.MaxIndex+1), nil),
		"a bomb with a heading":           enc.EncodeAll(slices.Concat([]byte("wpbake index 1\nencoder "), bytes.Repeat([]byte("x"), artifact.MaxIndex/2)), nil),
		"a million entries":               enc.EncodeAll(million("d\t0\ta\n"), nil),
		"a million frames":                enc.EncodeAll([]byte("wpbake index 1\nencoder x\nplanner y\nframes 1000000\n"+strings.Repeat("1\t1\ta\tb\n", 1_000_000)), nil),
		"more entries than lines":         artifacttest.RawFrame([]byte("wpbake index 1\nencoder x\nplanner y\nframes 0\nentries 9223372036854775807\n")),
		"a number that overflows":         artifacttest.RawFrame([]byte("wpbake index 1\nencoder x\nplanner y\nframes 99999999999999999999\n")),
		"two frames":                      slices.Concat(artifacttest.RawFrame(nil), artifacttest.RawFrame(nil)),
		"a skippable frame":               artifacttest.Skippable(artifact.IndexMagic, artifacttest.RawFrame(nil)),
		"nothing":                         {},
		"a window of terabytes":           {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 1, 0, 0},
		"terabytes announced":             append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 4, 0, 0}, 1, 0, 0),
		"a length of the frame that lies": nil,
	} {
		t.Run(name, func(t *testing.T) {
			packed := artifacttest.Skippable(artifact.IndexMagic, frame)
			if frame == nil {
				packed[4] = 7
			}
			f := forge(t)
			blob := slices.Concat(f.recompress(), packed)
			f.m.Index = artifact.Part{Digest: artifact.DigestOf(packed), Offset: f.index.StoredSize(), Size: int64(len(packed))}
			blob = append(blob, artifact.SeekTable(f.index.Frames, int64(len(packed)))...)
			f.m.Artifact = artifact.Blob{Digest: artifact.DigestOf(blob), Size: int64(len(blob))}
			s := artifacttest.Memory{artifacttest.TarballObject: blob, artifacttest.ManifestObject: f.m.Marshal()}
			start := artifacttest.AllocatedBytes()
			refuse(t, s, "index")
			if took := artifacttest.AllocatedBytes() - start; took > 6*artifact.MaxIndex {
				t.Errorf("two readings took %d MiB", took>>20)
			}
		})
	}
}

// Skippable frames that zstd passes over, between the parts of an artifact.
func TestHiddenBetweenParts(t *testing.T) {
	hidden := artifacttest.Skippable(0x184D2A50, []byte("hidden"))
	for name, place := range map[string]func(m artifact.Manifest) int64{
		"at the start":         func(artifact.Manifest) int64 { return 0 },
		"before the index":     func(m artifact.Manifest) int64 { return m.Index.Offset },
		"after the index":      func(m artifact.Manifest) int64 { return m.Index.Offset + m.Index.Size },
		"after the seek table": func(m artifact.Manifest) int64 { return m.Artifact.Size },
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(t)
			blob := f.seal(f.recompress())[artifacttest.TarballObject]
			at := place(f.m)
			blob = slices.Insert(bytes.Clone(blob), int(at), hidden...)
			if at <= f.m.Index.Offset {
				f.m.Index.Offset += int64(len(hidden))
			}
			f.m.Artifact = artifact.Blob{Digest: artifact.DigestOf(blob), Size: int64(len(blob))}
			refuse(t, artifacttest.Memory{artifacttest.TarballObject: blob, artifacttest.ManifestObject: f.m.Marshal()}, "contradict")
		})
	}
}
