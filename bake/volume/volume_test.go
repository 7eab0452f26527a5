package volume

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact/imagefs"
)

// image is made of blocks, each full of one letter; a dot is zeros.
func image(letters string) []byte {
	var b []byte
	for _, letter := range []byte(letters) {
		if letter == '.' {
			letter = 0
		}
		b = append(b, bytes.Repeat([]byte{letter}, BlockSize)...)
	}
	return b
}

func indexes(plan []planned) (all []int32) {
	for _, p := range plan {
		all = append(all, p.index)
	}
	return all
}

func TestPlan(t *testing.T) {
	b := image("ab..c")
	b = b[:len(b)-BlockSize/2] // the last block is cut
	for name, c := range map[string]struct {
		changed map[int32]bool
		want    []int32
	}{
		"without a parent zeros are left out":              {nil, []int32{0, 1, 4}},
		"with one, zeros take the place of what was there": {map[int32]bool{0: true, 3: true}, []int32{0, 3}},
		"nothing changed": {map[int32]bool{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			u := &upload{image: bytes.NewReader(b), size: int64(len(b)), changed: c.changed}
			plan, err := u.plan()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, indexes(plan)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The image of a parent, its metadata a block and a half long.
func testParent(t *testing.T, letters string) *parent {
	b := image(letters)
	return &parent{
		content: &content{read: func(i int32) ([]byte, error) {
			if int(i) >= len(letters) {
				t.Errorf("block %d of %d was asked for", i, len(letters))
			}
			return b[int(i)*BlockSize:][:BlockSize], nil
		}},
		placement: imagefs.Layout{Metadata: BlockSize * 3 / 2, Files: map[string]imagefs.Extent{
			"a": {Offset: BlockSize * 3 / 2, Size: 10, Digest: "sha256:a"},
			"b": {Offset: BlockSize * 2, Size: BlockSize + 1, Digest: "sha256:b"},
			"c": {Offset: BlockSize * 4, Size: 5, Digest: "sha256:c"},
		}},
	}
}

func TestChanged(t *testing.T) {
	for name, c := range map[string]struct {
		now    string
		change func(p *imagefs.Layout)
		want   []int32
	}{
		"nothing":  {"mmxxx", func(*imagefs.Layout) {}, nil},
		"metadata": {"nmxxx", func(*imagefs.Layout) {}, []int32{0}},
		"a short file": {"mmxxx", func(p *imagefs.Layout) {
			p.Files["c"] = imagefs.Extent{Offset: BlockSize * 4, Size: 5, Digest: "sha256:C"}
		}, []int32{4}},
		"a part of a long file": {"mmyxx", func(p *imagefs.Layout) {
			p.Files["b"] = imagefs.Extent{Offset: BlockSize * 2, Size: BlockSize + 1, Digest: "sha256:B"}
		}, []int32{2}},
		"the end of a long file": {"mmxyx", func(p *imagefs.Layout) {
			p.Files["b"] = imagefs.Extent{Offset: BlockSize * 2, Size: BlockSize + 1, Digest: "sha256:B"}
		}, []int32{3}},
		"a file moved": {"mmxxx", func(p *imagefs.Layout) {
			p.Files["c"] = imagefs.Extent{Offset: BlockSize * 5, Size: 5, Digest: "sha256:c"}
		}, []int32{5}},
		"a file is new": {"mmxxx", func(p *imagefs.Layout) {
			p.Files["d"] = imagefs.Extent{Offset: BlockSize*4 + 4096, Size: 1, Digest: "sha256:d"}
		}, []int32{4}},
		"a file is gone":      {"mmxxx", func(p *imagefs.Layout) { delete(p.Files, "b") }, nil},
		"metadata is shorter": {"mnxxx", func(p *imagefs.Layout) { p.Metadata = 4096 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			before := testParent(t, "mmxxx")
			now := imagefs.Layout{Metadata: before.placement.Metadata, Files: maps.Clone(before.placement.Files)}
			c.change(&now)
			got, err := before.changed(bytes.NewReader(image(c.now)), now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, slices.Sorted(maps.Keys(got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestContent(t *testing.T) {
	b := image("abc")
	reads := 0
	c := &content{read: func(i int32) ([]byte, error) {
		reads++
		if i > 2 {
			return nil, errors.New("there is no more")
		}
		return b[int(i)*BlockSize:][:BlockSize], nil
	}}
	got := make([]byte, BlockSize+2)
	if n, err := c.ReadAt(got, BlockSize-1); err != nil || n != len(got) || !bytes.Equal(got, b[BlockSize-1:][:len(got)]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := c.ReadAt(got[:5], 2*BlockSize+7); err != nil || reads != 3 {
		t.Errorf("%d blocks were read, %v", reads, err)
	}
	if _, err := c.ReadAt(got, 2*BlockSize); err == nil {
		t.Error("read behind the end")
	}
	if _, err := c.ReadAt(got, -1); err == nil {
		t.Error("read before the beginning")
	}
}

func TestGiB(t *testing.T) {
	for n, want := range map[int64]int64{0: 1, 1: 1, 1 << 30: 1, 1<<30 + 1: 2, 5<<30 - 1: 5} {
		if got := gib(n); got != want {
			t.Errorf("%d bytes take %d GiB, not %d", n, got, want)
		}
	}
}
