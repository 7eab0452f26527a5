package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A recipe is a release in a few lines, which a fuzzer can change: one line an
// entry of the tree, in order, and "--" where a section ends.
//
//	d PATH
//	f SIZE PATH
//	l PATH -> TARGET
type recipe struct {
	entries []entry
	starts  []int // first entries of sections after the first
}

// Limits of what a recipe may make a test write.
const (
	maxCooked  = 256 << 10
	maxRecipes = 200
)

// parseRecipe takes lines that make no sense for hostile names: every text is
// a recipe, unless it is too large.
func parseRecipe(text string) (r recipe, ok bool) {
	total := int64(0)
	for line := range strings.SplitSeq(text, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "--":
			r.starts = append(r.starts, len(r.entries))
			continue
		case "d":
			r.entries = append(r.entries, entry{path: rest, kind: kindDir})
		case "l":
			p, target, _ := strings.Cut(rest, " -> ")
			r.entries = append(r.entries, entry{path: p, kind: kindLink, target: target})
		default:
			size, p, _ := strings.Cut(rest, " ")
			n, err := strconv.ParseInt(size, 10, 64)
			if err != nil || n < 0 {
				n, p = 3, rest
			}
			total += n
			r.entries = append(r.entries, entry{path: p, kind: kindFile, size: n})
		}
		if total > maxCooked || len(r.entries) > maxRecipes {
			return recipe{}, false
		}
	}
	return r, true
}

// cooked is a release as somebody signs it who may be wrong: its parts, before
// digests are made of them.
type cooked struct {
	index  *index
	plains [][]byte // of frames
	m      Manifest // without digests
}

// cook makes an honest release of a recipe, content and all, whose frames have
// at most cut plain bytes; whether its paths are honest is another matter. It
// fails where no tar header could be made.
func (r recipe) cook(content []byte, cut int) (*cooked, bool) {
	members := membersOf("wordpress", r.entries)
	x := &index{encoder: "test", planner: "test", entries: members}
	c := &cooked{index: x}
	outer := len(members) - 2 - len(r.entries)
	var plain []byte
	flush := func(first int) {
		frames := len(c.plains)
		for piece := range slices.Chunk(plain, cut) {
			c.plains = append(c.plains, piece)
		}
		for range len(members[first:len(x.starts)]) {
			x.starts[first] = frames
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
			body = fileList(treeMembers(members))
		case e.kind == kindFile:
			body = fill(content, e.size)
		}
		if e.kind == kindFile {
			e.sum = sha256.Sum256(body)
		}
		head, err := header(e)
		if err != nil {
			return nil, false
		}
		plain = slices.Concat(plain, head, body, make([]byte, padding(e)))
		x.starts = append(x.starts, 0)
	}
	flush(first)
	var err error
	c.plains = append(c.plains, make([]byte, trailerSize))
	list := members[len(members)-1]
	c.m = Manifest{Format: Format, Version: "v1", Tree: describeTree("wordpress", treeMembers(members), DigestFromSum(list.sum[:]))}
	if c.m.Image, err = describeImage(c.m.Tree.Digest, members); err != nil { // paths that no file system has
		c.m.Image = Blob{Digest: DigestOf(nil), Size: c.m.Tree.Bytes&^4095 + 4096}
	}
	return c, true
}

// fill repeats content.
func fill(content []byte, n int64) []byte {
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

// spoilt names the part of a release that a patch goes into, after which all
// digests are made to fit.
type spoilt byte

const (
	spoiltNothing spoilt = iota
	spoiltPlain
	spoiltStored
	spoiltIndexText
	spoiltIndexFrame
	spoiltSeekTable
	spoiltManifest
	spoilable
)

// sign puts a release together whose digests all fit, with a patch in one of
// its parts.
func (c *cooked) sign(where spoilt, with []byte, at int) memoryStore {
	if where == spoiltPlain {
		c.plains = slices.Collect(slices.Chunk(patch(bytes.Join(c.plains, nil), with, at), max(1, len(c.plains[0]))))
	}
	c.index.frames = c.index.frames[:0]
	var blob []byte
	for i, plain := range c.plains {
		stored := rawFrame(plain)
		if where == spoiltStored && i == at%len(c.plains) {
			stored = patch(stored, with, at/len(c.plains))
		}
		c.index.frames = append(c.index.frames, frame{int64(len(stored)), int64(len(plain)), sha256.Sum256(stored), [sha256.Size]byte{}})
		blob = append(blob, stored...)
	}
	c.nameContents()
	text := c.index.marshal()
	if where == spoiltIndexText {
		text = patch(text, with, at)
	}
	x := skippable(indexMagic, rawFrame(text))
	if where == spoiltIndexFrame {
		x = patch(x, with, at)
	}
	seek := seekTable(c.index.frames, int64(len(x)))
	if where == spoiltSeekTable {
		seek = patch(seek, with, at)
	}
	c.m.Index = Section{Digest: DigestOf(x), Offset: int64(len(blob)), Size: int64(len(x))}
	blob = slices.Concat(blob, x, seek)
	c.m.Artifact = Blob{Digest: DigestOf(blob), Size: int64(len(blob))}
	doc := c.m.Marshal()
	if where == spoiltManifest {
		doc = patch(doc, with, at)
	}
	return memoryStore{blobName: blob, docName: doc}
}

// signFrame is sign with one frame stored otherwise.
func (c *cooked) signFrame(n int, change func(honest []byte) []byte) memoryStore {
	honest := rawFrame(c.plains[n])
	stored := change(honest)
	s := c.sign(spoiltNothing, nil, 0)
	blob := s[blobName][:c.m.Index.Offset]
	at := 0
	for _, plain := range c.plains[:n] {
		at += len(rawFrame(plain))
	}
	blob = slices.Concat(blob[:at], stored, blob[at+len(honest):])
	f := &c.index.frames[n]
	f.stored, f.storedSum = int64(len(stored)), sha256.Sum256(stored)
	x := skippable(indexMagic, rawFrame(c.index.marshal()))
	c.m.Index = Section{Digest: DigestOf(x), Offset: int64(len(blob)), Size: int64(len(x))}
	blob = slices.Concat(blob, x, seekTable(c.index.frames, int64(len(x))))
	c.m.Artifact = Blob{Digest: DigestOf(blob), Size: int64(len(blob))}
	return memoryStore{blobName: blob, docName: c.m.Marshal()}
}

// nameContents gives frames the sums of what they hold, where the index is one
// that a reader takes.
func (c *cooked) nameContents() {
	sections, err := c.index.sections()
	if err != nil {
		return
	}
	for _, s := range append(sections, placed{frame: len(c.index.frames) - 1, frames: 1}) {
		for i, sum := range contentSums(c.index.entries[s.first:s.last], s.frames) {
			c.index.frames[s.frame+i].contentSum = sum
		}
	}
}

// rawFrame wraps bytes into a zstd frame that compresses nothing, as fast as
// they can be copied.
func rawFrame(plain []byte) []byte {
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

// skippable makes a frame that zstd's readers pass over.
func skippable(magic uint32, b []byte) []byte {
	h := binary.LittleEndian.AppendUint32(nil, magic)
	return append(binary.LittleEndian.AppendUint32(h, uint32(len(b))), b...)
}

// text is the recipe of entries, for seeds.
func (r recipe) String() string {
	var b strings.Builder
	for i, e := range r.entries {
		if slices.Contains(r.starts, i) {
			b.WriteString("--\n")
		}
		switch e.kind {
		case kindFile:
			fmt.Fprintf(&b, "f %d %s\n", e.size, e.path)
		case kindLink:
			fmt.Fprintf(&b, "l %s -> %s\n", e.path, e.target)
		default:
			fmt.Fprintf(&b, "d %s\n", e.path)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const honestRecipe = "d a\nf 600 a/b c.php\nf 0 a/empty\n--\nl link -> a/b c.php\nd z\nf 1024 z/Zürich.css"
