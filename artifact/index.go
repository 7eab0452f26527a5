package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unsafe"

	"github.com/klauspost/compress/zstd"
)

// frame is one zstd frame of an artifact.
type frame struct {
	stored, plain int64             // lengths
	storedSum     [sha256.Size]byte // of the stored bytes
	contentSum    [sha256.Size]byte // of what the plain bytes follow from: see contentSums
}

// located is a frame and where it stands in its artifact.
type located struct {
	frame
	offset int64
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
	b := make([]byte, 0, 4096+192*len(x.frames)+96*len(x.entries))
	b = fmt.Appendf(b, "%s\nencoder %s\nplanner %s\nframes %d\n", indexHeading, x.encoder, x.planner, len(x.frames))
	for i := range x.frames {
		b = x.frames[i].appendLine(b)
	}
	b = fmt.Appendf(b, "entries %d\n", len(x.entries))
	for i := range x.entries {
		b = x.appendEntry(b, i)
	}
	return b
}

func (f *frame) appendLine(b []byte) []byte {
	b = append(strconv.AppendInt(b, f.stored, 10), '\t')
	b = append(strconv.AppendInt(b, f.plain, 10), '\t')
	b = append(hex.AppendEncode(b, f.storedSum[:]), '\t')
	return append(hex.AppendEncode(b, f.contentSum[:]), '\n')
}

func (x *index) appendEntry(b []byte, i int) []byte {
	e := &x.entries[i]
	b = append(b, byte(e.kind), '\t')
	b = append(strconv.AppendInt(b, int64(x.starts[i]), 10), '\t')
	if e.kind == kindFile {
		b = append(strconv.AppendInt(b, e.size, 10), '\t')
	}
	b = append(b, e.path...)
	if e.kind == kindLink {
		b = append(append(b, '\t'), e.target...)
	}
	return append(b, '\n')
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
	text, err := indexText(b)
	if err != nil {
		return nil, err
	}
	return parseIndex(text, prefix)
}

// indexText decodes an index's skippable frame.
func indexText(b []byte) ([]byte, error) {
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
	return text, nil
}

// parseIndex accepts only what marshal writes for the same index, so that an
// index has one form, and only a consistent one. The index keeps text: paths
// are parts of it.
func parseIndex(text []byte, prefix string) (*index, error) {
	x, err := parseForm(text)
	if err != nil {
		return nil, err
	}
	return x, x.check(prefix)
}

// parseForm accepts an index in its one form, whatever it says.
func parseForm(text []byte) (*index, error) {
	if !bytes.HasPrefix(text, []byte(indexHeading+"\n")) {
		return nil, fmt.Errorf("%w: it does not begin with %q", errIndex, indexHeading)
	}
	text = text[len(indexHeading)+1:]
	p := &indexParser{rest: unsafe.String(unsafe.SliceData(text), len(text))} // nobody writes to it again
	x := &index{}
	x.encoder = p.word("encoder ")
	x.planner = p.word("planner ")
	n := p.count("frames ")
	if n > maxFrames {
		return nil, fmt.Errorf("%w: it has %d frames", errIndex, n)
	}
	x.frames = make([]frame, 0, n)
	for range n {
		p.frame(x)
	}
	n = p.count("entries ")
	if n > maxEntries+maxDepth {
		return nil, fmt.Errorf("%w: it has %d entries", errIndex, n)
	}
	x.entries, x.starts = make([]entry, 0, n), make([]int, 0, n)
	for range n {
		p.entry(x)
	}
	if p.bad || p.rest != "" {
		return nil, errForm
	}
	return x, nil
}

// indexParser reads lines; after the first bad one it returns zeros.
type indexParser struct {
	rest string
	bad  bool
	form []byte // of the line as it must be
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
	word := p.word(key)
	n := p.number(word)
	if p.bad || n > int64(strings.Count(p.rest, "\n")) || strconv.FormatInt(n, 10) != word {
		p.bad = true
		return 0
	}
	return n
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

// as refuses a line that is not written as it must be.
func (p *indexParser) as(line string) {
	p.bad = p.bad || line != string(p.form[:max(0, len(p.form)-1)])
}

func (p *indexParser) frame(x *index) {
	if p.bad {
		return
	}
	line := p.line()
	stored, rest, _ := strings.Cut(line, "\t")
	plain, rest, _ := strings.Cut(rest, "\t")
	storedSum, contentSum, _ := strings.Cut(rest, "\t")
	f := frame{p.number(stored), p.number(plain), p.sum(storedSum), p.sum(contentSum)}
	p.form = f.appendLine(p.form[:0])
	p.as(line)
	x.frames = append(x.frames, f)
}

func (p *indexParser) entry(x *index) {
	if p.bad {
		return
	}
	line := p.line()
	letter, rest, _ := strings.Cut(line, "\t")
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
	p.form = x.appendEntry(p.form[:0], len(x.entries)-1)
	p.as(line)
}

// layout is what the frames of an index add up to.
func (x *index) layout() (stored int64) {
	for i := range x.frames {
		stored += x.frames[i].stored
	}
	return stored
}
