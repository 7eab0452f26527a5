package artifacttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/imagefs"
)

// A recipe is a release in a few lines, which a fuzzer can change: one line an
// entry of the tree, in order, and "--" where a section ends.
//
//	d PATH
//	f SIZE PATH
//	l PATH -> TARGET
type recipe struct {
	entries []artifact.Member
	starts  []int // first entries of sections after the first
}

// Limits of what a recipe may make a test write.
const (
	MaxCooked  = 256 << 10
	maxRecipes = 200
)

// ParseRecipe takes lines that make no sense for hostile names: every text is
// a recipe, unless it is too large.
func ParseRecipe(text string) (r recipe, ok bool) {
	total := int64(0)
	for line := range strings.SplitSeq(text, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "--":
			r.starts = append(r.starts, len(r.entries))
			continue
		case "d":
			r.entries = append(r.entries, artifact.Member{Path: rest, Kind: artifact.KindDir})
		case "l":
			p, target, _ := strings.Cut(rest, " -> ")
			r.entries = append(r.entries, artifact.Member{Path: p, Kind: artifact.KindLink, Target: target})
		default:
			size, p, _ := strings.Cut(rest, " ")
			n, err := strconv.ParseInt(size, 10, 64)
			if err != nil || n < 0 {
				n, p = 3, rest
			}
			total += n
			r.entries = append(r.entries, artifact.Member{Path: p, Kind: artifact.KindFile, Size: n})
		}
		if total > MaxCooked || len(r.entries) > maxRecipes {
			return recipe{}, false
		}
	}
	return r, true
}

// cooked is a release as somebody signs it who may be wrong: its parts, before
// digests are made of them.
type cooked struct {
	Index  *artifact.Index
	plains [][]byte          // of frames
	M      artifact.Manifest // without digests
}

// Cook makes an honest release of a recipe, content and all, whose frames have
// at most cut plain bytes; whether its paths are honest is another matter. It
// fails where no tar header could be made.
func (r recipe) Cook(content []byte, cut int) (*cooked, bool) {
	members := artifact.MembersOf("wordpress", r.entries)
	x := &artifact.Index{Encoder: "test", Planner: "test", Members: members}
	c := &cooked{Index: x}
	outer := len(members) - 2 - len(r.entries)
	var plain []byte
	flush := func(first int) {
		frames := len(c.plains)
		for piece := range slices.Chunk(plain, cut) {
			c.plains = append(c.plains, piece)
		}
		for range len(members[first:len(x.Starts)]) {
			x.Starts[first] = frames
			first++
		}
		plain = nil
	}
	first := 0
	for i := range members {
		if i > first && (slices.Contains(r.starts, i-outer) || i == len(members)-2) {
			flush(first)
			first = i
		}
		e := &members[i]
		var body []byte
		switch {
		case i == len(members)-1:
			body = artifact.FileList(artifact.TreeMembers(members))
		case e.Kind == artifact.KindFile:
			body = Fill(content, e.Size)
		}
		if e.Kind == artifact.KindFile {
			e.Sum = sha256.Sum256(body)
		}
		head, err := artifact.Header(e)
		if err != nil {
			return nil, false
		}
		plain = slices.Concat(plain, head, body, make([]byte, artifact.Padding(e)))
		x.Starts = append(x.Starts, 0)
	}
	flush(first)
	var err error
	c.plains = append(c.plains, make([]byte, artifact.TrailerSize))
	list := members[len(members)-1]
	c.M = artifact.Manifest{Format: artifact.Format, Version: "v1", Tree: artifact.DescribeTree("wordpress", artifact.TreeMembers(members), artifact.DigestFromSum(list.Sum[:]))}
	if c.M.Image, err = imagefs.Describe(c.M.Tree.Digest, members); err != nil { // paths that no file system has
		c.M.Image = artifact.Blob{Digest: artifact.DigestOf(nil), Size: c.M.Tree.Bytes&^4095 + 4096}
	}
	return c, true
}

// Fill repeats content.
func Fill(content []byte, n int64) []byte {
	if len(content) == 0 {
		content = []byte{'.'}
	}
	return bytes.Repeat(content, int(n)/len(content)+1)[:n]
}

// patch overwrites bytes, or appends them at the end.
func patch(b, with []byte, at int) []byte {
	b = bytes.Clone(b)
	at = min(at, len(b))
	n := copy(b[at:], with)
	return append(b, with[n:]...)
}

// Spoilt names the part of a release that a patch goes into, after which all
// digests are made to fit.
type Spoilt byte

const (
	SpoiltNothing Spoilt = iota
	SpoiltPlain
	SpoiltStored
	SpoiltIndexText
	spoiltIndexFrame
	SpoiltSeekTable
	spoiltManifest
	Spoilable
)

// Sign puts a release together whose digests all fit, with a patch in one of
// its parts.
func (c *cooked) Sign(where Spoilt, with []byte, at int) Memory {
	if where == SpoiltPlain {
		c.plains = slices.Collect(slices.Chunk(patch(bytes.Join(c.plains, nil), with, at), max(1, len(c.plains[0]))))
	}
	c.Index.Frames = c.Index.Frames[:0]
	var blob []byte
	for i, plain := range c.plains {
		stored := RawFrame(plain)
		if where == SpoiltStored && i == at%len(c.plains) {
			stored = patch(stored, with, at/len(c.plains))
		}
		c.Index.Frames = append(c.Index.Frames, artifact.Frame{Stored: int64(len(stored)), Plain: int64(len(plain)), StoredSum: sha256.Sum256(stored)})
		blob = append(blob, stored...)
	}
	c.nameContents()
	text := c.Index.Marshal()
	if where == SpoiltIndexText {
		text = patch(text, with, at)
	}
	x := Skippable(artifact.IndexMagic, RawFrame(text))
	if where == spoiltIndexFrame {
		x = patch(x, with, at)
	}
	seek := artifact.SeekTable(c.Index.Frames, int64(len(x)))
	if where == SpoiltSeekTable {
		seek = patch(seek, with, at)
	}
	c.M.Index = artifact.Part{Digest: artifact.DigestOf(x), Offset: int64(len(blob)), Size: int64(len(x))}
	blob = slices.Concat(blob, x, seek)
	c.M.Artifact = artifact.Blob{Digest: artifact.DigestOf(blob), Size: int64(len(blob))}
	doc := c.M.Marshal()
	if where == spoiltManifest {
		doc = patch(doc, with, at)
	}
	return Memory{TarballObject: blob, ManifestObject: doc}
}

// SignFrame is sign with one frame stored otherwise.
func (c *cooked) SignFrame(n int, change func(honest []byte) []byte) Memory {
	honest := RawFrame(c.plains[n])
	stored := change(honest)
	s := c.Sign(SpoiltNothing, nil, 0)
	blob := s[TarballObject][:c.M.Index.Offset]
	at := 0
	for _, plain := range c.plains[:n] {
		at += len(RawFrame(plain))
	}
	blob = slices.Concat(blob[:at], stored, blob[at+len(honest):])
	f := &c.Index.Frames[n]
	f.Stored, f.StoredSum = int64(len(stored)), sha256.Sum256(stored)
	x := Skippable(artifact.IndexMagic, RawFrame(c.Index.Marshal()))
	c.M.Index = artifact.Part{Digest: artifact.DigestOf(x), Offset: int64(len(blob)), Size: int64(len(x))}
	blob = slices.Concat(blob, x, artifact.SeekTable(c.Index.Frames, int64(len(x))))
	c.M.Artifact = artifact.Blob{Digest: artifact.DigestOf(blob), Size: int64(len(blob))}
	return Memory{TarballObject: blob, ManifestObject: c.M.Marshal()}
}

// nameContents gives frames the sums of what they hold, where the index is one
// that a reader takes.
func (c *cooked) nameContents() {
	sections, err := c.Index.Sections()
	if err != nil {
		return
	}
	for _, s := range append(sections, artifact.Extent{Frame: len(c.Index.Frames) - 1, Frames: 1}) {
		for i, sum := range artifact.ContentSums(c.Index.Members[s.First:s.Last], s.Frames) {
			c.Index.Frames[s.Frame+i].ContentSum = sum
		}
	}
}

// RawFrame wraps bytes into a zstd frame that compresses nothing, as fast as
// they can be copied.
func RawFrame(plain []byte) []byte {
	const most = 128 << 10 // in a block
	b := binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, uint64(len(plain)))
	for {
		n := min(len(plain), most)
		h := uint32(n << 3)
		if n == len(plain) {
			h |= 1 // the last one
		}
		b = append(b, byte(h), byte(h>>8), byte(h>>16))
		b = append(b, plain[:n]...)
		if plain = plain[n:]; len(plain) == 0 {
			return b
		}
	}
}

// Skippable makes a frame that zstd's readers pass over.
func Skippable(magic uint32, b []byte) []byte {
	h := binary.LittleEndian.AppendUint32(nil, magic)
	return append(binary.LittleEndian.AppendUint32(h, uint32(len(b))), b...)
}

// String is the recipe of entries, for seeds.
func (r recipe) String() string {
	var b strings.Builder
	for i, e := range r.entries {
		if slices.Contains(r.starts, i) {
			b.WriteString("--\n")
		}
		switch e.Kind {
		case artifact.KindFile:
			fmt.Fprintf(&b, "f %d %s\n", e.Size, e.Path)
		case artifact.KindLink:
			fmt.Fprintf(&b, "l %s -> %s\n", e.Path, e.Target)
		default:
			fmt.Fprintf(&b, "d %s\n", e.Path)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// HonestRecipe has something of everything, and no lie.
const HonestRecipe = "d a\nf 600 a/b c.php\nf 0 a/empty\n--\nl link -> a/b c.php\nd z\nf 1024 z/Zürich.css"
