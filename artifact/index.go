package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/klauspost/compress/zstd"
)

// frame is one zstd frame of an artifact.
type frame struct {
	stored, plain int64             // lengths
	storedSum     [sha256.Size]byte // of the stored bytes
	contentSum    [sha256.Size]byte // of what the plain bytes follow from: see contentSums
}

// index says where everything is: frames in order, entries in order, and for
// each entry the number of the frame that it, or its section, starts in.
type index struct {
	encoder string
	planner string
	frames  []frame
	entries []entry
	starts  []int // of each entry: a frame's number
}

const (
	indexMagic   = 0x184D2A57 // a skippable frame; 57 is W
	indexHeading = "wpbake index 1"
	maxIndex     = 128 << 20 // plain bytes
	maxFrames    = maxEntries
	skipHeader   = 8 // magic and length of a skippable frame
)

// errIndex is what every refusal of an index wraps.
var errIndex = errors.New("the index is wrong")

var errForm = fmt.Errorf("%w: not in its one form", errIndex)

// marshal returns the plain text of an index. FORMAT.md describes it.
func (x *index) marshal() []byte {
	var b bytes.Buffer
	x.write(&b)
	return b.Bytes()
}

func (x *index) write(b io.Writer) {
	fmt.Fprintf(b, "%s\nencoder %s\nplanner %s\nframes %d\n", indexHeading, x.encoder, x.planner, len(x.frames))
	for i := range x.frames {
		f := &x.frames[i]
		fmt.Fprintf(b, "%d\t%d\t%x\t%x\n", f.stored, f.plain, f.storedSum, f.contentSum)
	}
	fmt.Fprintf(b, "entries %d\n", len(x.entries))
	for i := range x.entries {
		e := &x.entries[i]
		switch e.kind {
		case kindFile:
			fmt.Fprintf(b, "f\t%d\t%d\t%s\n", x.starts[i], e.size, e.path)
		case kindLink:
			fmt.Fprintf(b, "l\t%d\t%s\t%s\n", x.starts[i], e.path, e.target)
		default:
			fmt.Fprintf(b, "d\t%d\t%s\n", x.starts[i], e.path)
		}
	}
}

// sameText is a writer that compares what it is given with a text, so that
// there need not be a second one of its size.
type sameText struct {
	rest   []byte
	differ bool
}

func (s *sameText) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(s.rest, p) {
		s.differ = true
		return 0, errForm
	}
	s.rest = s.rest[len(p):]
	return len(p), nil
}

// packIndex compresses an index into its skippable frame.
func packIndex(enc *zstd.Encoder, x *index) []byte {
	b := enc.EncodeAll(x.marshal(), make([]byte, skipHeader))
	binary.LittleEndian.PutUint32(b, indexMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-skipHeader))
	return b
}

// unpackIndex reads a skippable frame whose digest was verified. What it
// returns is consistent in itself: see check.
func unpackIndex(b []byte, prefix string) (*index, error) {
	if len(b) < skipHeader || binary.LittleEndian.Uint32(b) != indexMagic ||
		int64(binary.LittleEndian.Uint32(b[4:])) != int64(len(b)-skipHeader) {
		return nil, errForm
	}
	if reason := badFrame(b[skipHeader:], -1); reason != "" {
		return nil, fmt.Errorf("%w: it %s", errIndex, reason)
	}
	dec, err := newDecoder(maxIndex)
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	text, err := dec.DecodeAll(b[skipHeader:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errIndex, err)
	}
	return parseIndex(text, prefix)
}

// parseIndex accepts only what marshal writes for the same index, so that an
// index has one form, and only a consistent one.
func parseIndex(text []byte, prefix string) (*index, error) {
	if !bytes.HasPrefix(text, []byte(indexHeading+"\n")) {
		return nil, fmt.Errorf("%w: it does not begin with %q", errIndex, indexHeading)
	}
	p := &indexParser{rest: string(text[len(indexHeading)+1:])}
	x := &index{}
	x.encoder = p.word("encoder ")
	x.planner = p.word("planner ")
	frames := p.count("frames ")
	if frames > maxFrames {
		return nil, fmt.Errorf("%w: it has %d frames", errIndex, frames)
	}
	for range frames {
		f := p.fields(4)
		x.frames = append(x.frames, frame{p.number(f[0]), p.number(f[1]), p.sum(f[2]), p.sum(f[3])})
	}
	entries := p.count("entries ")
	if entries > maxEntries+maxDepth {
		return nil, fmt.Errorf("%w: it has %d entries", errIndex, entries)
	}
	for range entries {
		if p.entry(x); p.bad {
			return nil, errForm
		}
	}
	same := &sameText{rest: text}
	if x.write(same); p.bad || same.differ || len(same.rest) > 0 {
		return nil, errForm
	}
	return x, x.check(prefix)
}

// indexParser reads lines; after the first bad one it returns zeros.
type indexParser struct {
	rest string
	bad  bool
}

func (p *indexParser) line() string {
	line, rest, ok := strings.Cut(p.rest, "\n")
	p.bad = p.bad || !ok
	p.rest = rest
	return line
}

func (p *indexParser) word(key string) string {
	value, ok := strings.CutPrefix(p.line(), key)
	p.bad = p.bad || !ok || value == "" || !isASCII(value) || strings.ContainsFunc(value, unicode.IsControl)
	return value
}

func (p *indexParser) number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	p.bad = p.bad || err != nil || n < 0
	return n
}

// count reads how many lines follow; there cannot be more than the text has.
func (p *indexParser) count(key string) int64 {
	n := p.number(p.word(key))
	if p.bad || n > int64(strings.Count(p.rest, "\n")) {
		p.bad = true
		return 0
	}
	return n
}

func (p *indexParser) fields(n int) []string {
	f := strings.SplitN(p.line(), "\t", n)
	if len(f) != n {
		p.bad = true
		return make([]string, n)
	}
	return f
}

func (p *indexParser) sum(s string) (sum [sha256.Size]byte) {
	if len(s) != hex.EncodedLen(len(sum)) {
		p.bad = true
		return sum
	}
	_, err := hex.Decode(sum[:], []byte(s))
	p.bad = p.bad || err != nil
	return sum
}

func (p *indexParser) entry(x *index) {
	letter, rest, _ := strings.Cut(p.line(), "\t")
	start, rest, _ := strings.Cut(rest, "\t")
	e := entry{kind: kindDir, path: rest}
	switch letter {
	case "d":
	case "f":
		size, path, _ := strings.Cut(rest, "\t")
		e = entry{kind: kindFile, path: path, size: p.number(size)}
	case "l":
		path, target, _ := strings.Cut(rest, "\t")
		e = entry{kind: kindLink, path: path, target: target}
	default:
		p.bad = true
	}
	x.entries = append(x.entries, e)
	x.starts = append(x.starts, int(p.number(start)))
}

// layout is what the frames of an index add up to.
func (x *index) layout() (stored int64) {
	for i := range x.frames {
		stored += x.frames[i].stored
	}
	return stored
}
