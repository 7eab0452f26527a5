package artifact_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
)

// FuzzIndex reads any bytes as the text of an index, and as the frame it comes
// in.
func FuzzIndex(f *testing.F) {
	r, _ := artifacttest.ParseRecipe(artifacttest.HonestRecipe)
	c, _ := r.Cook([]byte("content"), 2048)
	c.Sign(artifacttest.SpoiltNothing, nil, 0)
	text := c.Index.Marshal()
	f.Add(text)
	f.Add([]byte("wpbake index 1\nencoder x\nplanner y\nframes 0\nentries 0\n"))
	f.Add(bytes.Replace(text, []byte("frames 4"), []byte("frames 9223372036854775807"), 1))
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	defer enc.Close()
	f.Add(artifact.PackIndex(enc, c.Index))
	f.Add(artifacttest.Skippable(artifact.IndexMagic, artifacttest.RawFrame(text)))
	f.Add(artifacttest.Skippable(artifact.IndexMagic, enc.EncodeAll(make([]byte, 1<<20), nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		artifacttest.Bounded(t, func() {
			x, err := artifact.ParseIndex(b, "wordpress")
			form := func(x *artifact.Index) []byte { return x.Marshal() }
			if bytes.HasPrefix(b, artifacttest.Skippable(artifact.IndexMagic, nil)[:4]) {
				x, err = artifact.UnpackIndex(b, "wordpress")
				form = func(*artifact.Index) []byte { return b } // compressed as it pleases
			}
			if err != nil {
				if !errors.Is(err, artifact.ErrIndex) {
					t.Errorf("not a refusal: %v", err)
				}
				return
			}
			if !bytes.Equal(form(x), b) {
				t.Error("accepted another form")
			}
			artifacttest.Consistent(t, x, artifact.Manifest{Tree: artifact.Tree{Prefix: "wordpress"}})
		})
	})
}

// Texts of an index that mean what an honest one means, or nearly.
func TestIndexHasOneForm(t *testing.T) {
	r, _ := artifacttest.ParseRecipe(artifacttest.HonestRecipe)
	c, _ := r.Cook([]byte("x"), 60000)
	c.Sign(artifacttest.SpoiltNothing, nil, 0)
	text := string(c.Index.Marshal())
	entries := fmt.Sprintf("entries %d\n", len(c.Index.Members))
	frames := fmt.Sprintf("frames %d\n", len(c.Index.Frames))
	for name, change := range map[string][2]string{
		"leading zero":       {entries, strings.Replace(entries, " ", " 0", 1)},
		"sign":               {entries, strings.Replace(entries, " ", " +", 1)},
		"space":              {entries, strings.Replace(entries, "\n", " \n", 1)},
		"one entry less":     {entries, fmt.Sprintf("entries %d\n", len(c.Index.Members)-1)},
		"one entry more":     {entries, fmt.Sprintf("entries %d\n", len(c.Index.Members)+1)},
		"negative":           {entries, "entries -1\n"},
		"one frame less":     {frames, fmt.Sprintf("frames %d\n", len(c.Index.Frames)-1)},
		"one frame more":     {frames, fmt.Sprintf("frames %d\n", len(c.Index.Frames)+1)},
		"carriage return":    {"planner test\n", "planner test\r\n"},
		"no planner":         {"planner test\n", ""},
		"other heading":      {"wpbake index 1", "wpbake index 2"},
		"upper-case digits":  {"\n", "\n"},
		"size with a zero":   {"\t600\t", "\t0600\t"},
		"negative size":      {"\t600\t", "\t-600\t"},
		"size of 2^63":       {"\t600\t", "\t9223372036854775808\t"},
		"size of 2^63-1":     {"\t600\t", fmt.Sprintf("\t%d\t", math.MaxInt64)},
		"another letter":     {"\nd\t", "\nD\t"},
		"empty line":         {frames, frames + "\n"},
		"bytes after it":     {"", "x"},
		"no last line's end": {"", ""},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		switch name {
		case "upper-case digits":
			i := strings.IndexAny(text[strings.Index(text, frames)+len(frames):], "abcdef") + strings.Index(text, frames) + len(frames)
			changed = text[:i] + strings.ToUpper(text[i:i+1]) + text[i+1:]
		case "bytes after it":
			changed = text + "x"
		case "no last line's end":
			changed = strings.TrimSuffix(text, "\n")
		}
		if changed == text {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := artifact.ParseIndex([]byte(changed), "wordpress"); !errors.Is(err, artifact.ErrIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := artifact.ParseIndex([]byte(text), "wordpress"); err != nil {
		t.Fatal(err)
	}
}
