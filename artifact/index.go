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

// Frame is one zstd frame of an artifact.
type Frame struct {
	Stored, Plain int64             // lengths
	StoredSum     [sha256.Size]byte // of the stored bytes
	ContentSum    [sha256.Size]byte // of what the plain bytes follow from: see contentSums
}

// Located is a frame and where it stands in its artifact.
type Located struct {
	Frame
	Offset int64
}

// Index says where everything is: frames in order, entries in order, and for
// each entry the number of the frame that it, or its section, starts in.
type Index struct {
	Encoder string
	Planner string
	Frames  []Frame
	Members []Member
	Starts  []int // of each entry: a frame's number
}

const (
	IndexMagic   = 0x184D2A57 // a skippable frame; 57 is W
	indexHeading = "wpbake index 1"
	MaxIndex     = 128 << 20 // plain bytes
	maxFrames    = MaxEntries
	skipHeader   = 8 // magic and length of a skippable frame
)

// ErrIndex is what every refusal of an index wraps.
var ErrIndex = errors.New("the index is wrong")

var errForm = fmt.Errorf("%w: not in its one form", ErrIndex)

// Marshal returns the plain text of an index. FORMAT.md describes it.
func (x *Index) Marshal() []byte {
	b := make([]byte, 0, 4096+192*len(x.Frames)+96*len(x.Members))
	b = fmt.Appendf(b, "%s\nencoder %s\nplanner %s\nframes %d\n", indexHeading, x.Encoder, x.Planner, len(x.Frames))
	for i := range x.Frames {
		b = x.Frames[i].appendLine(b)
	}
	b = fmt.Appendf(b, "entries %d\n", len(x.Members))
	for i := range x.Members {
		b = x.appendEntry(b, i)
	}
	return b
}

func (f *Frame) appendLine(b []byte) []byte {
	b = append(strconv.AppendInt(b, f.Stored, 10), '\t')
	b = append(strconv.AppendInt(b, f.Plain, 10), '\t')
	b = append(hex.AppendEncode(b, f.StoredSum[:]), '\t')
	return append(hex.AppendEncode(b, f.ContentSum[:]), '\n')
}

func (x *Index) appendEntry(b []byte, i int) []byte {
	e := &x.Members[i]
	b = append(b, byte(e.Kind), '\t')
	b = append(strconv.AppendInt(b, int64(x.Starts[i]), 10), '\t')
	if e.Kind == KindFile {
		b = append(strconv.AppendInt(b, e.Size, 10), '\t')
	}
	b = append(b, e.Path...)
	if e.Kind == KindLink {
		b = append(append(b, '\t'), e.Target...)
	}
	return append(b, '\n')
}

// PackIndex compresses an index into its skippable frame.
func PackIndex(enc *zstd.Encoder, x *Index) []byte {
	b := enc.EncodeAll(x.Marshal(), make([]byte, skipHeader))
	binary.LittleEndian.PutUint32(b, IndexMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-skipHeader))
	return b
}

// UnpackIndex reads a skippable frame whose digest was verified. What it
// returns is consistent in itself: see check.
func UnpackIndex(b []byte, prefix string) (*Index, error) {
	text, err := indexText(b)
	if err != nil {
		return nil, err
	}
	return ParseIndex(text, prefix)
}

// indexText decodes an index's skippable frame.
func indexText(b []byte) ([]byte, error) {
	if len(b) < skipHeader || binary.LittleEndian.Uint32(b) != IndexMagic ||
		int64(binary.LittleEndian.Uint32(b[4:])) != int64(len(b)-skipHeader) {
		return nil, errForm
	}
	if reason := BadFrame(b[skipHeader:], -1); reason != "" {
		return nil, fmt.Errorf("%w: it %s", ErrIndex, reason)
	}
	dec, err := NewDecoder(MaxIndex)
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	text, err := dec.DecodeAll(b[skipHeader:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrIndex, err)
	}
	return text, nil
}

// ParseIndex accepts only what marshal writes for the same index, so that an
// index has one form, and only a consistent one. The index keeps text: paths
// are parts of it.
func ParseIndex(text []byte, prefix string) (*Index, error) {
	x, err := parseForm(text)
	if err != nil {
		return nil, err
	}
	return x, x.check(prefix)
}

// parseForm accepts an index in its one form, whatever it says.
func parseForm(text []byte) (*Index, error) {
	if !bytes.HasPrefix(text, []byte(indexHeading+"\n")) {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrIndex, indexHeading)
	}
	text = text[len(indexHeading)+1:]
	p := &indexParser{rest: unsafe.String(unsafe.SliceData(text), len(text))} // nobody writes to it again
	x := &Index{}
	x.Encoder = p.word("encoder ")
	x.Planner = p.word("planner ")
	n := p.count("frames ")
	if n > maxFrames {
		return nil, fmt.Errorf("%w: it has %d frames", ErrIndex, n)
	}
	x.Frames = make([]Frame, 0, n)
	for range n {
		p.frame(x)
	}
	n = p.count("entries ")
	if n > MaxEntries+MaxDepth {
		return nil, fmt.Errorf("%w: it has %d entries", ErrIndex, n)
	}
	x.Members, x.Starts = make([]Member, 0, n), make([]int, 0, n)
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

func (p *indexParser) frame(x *Index) {
	if p.bad {
		return
	}
	line := p.line()
	stored, rest, _ := strings.Cut(line, "\t")
	plain, rest, _ := strings.Cut(rest, "\t")
	storedSum, contentSum, _ := strings.Cut(rest, "\t")
	f := Frame{p.number(stored), p.number(plain), p.sum(storedSum), p.sum(contentSum)}
	p.form = f.appendLine(p.form[:0])
	p.as(line)
	x.Frames = append(x.Frames, f)
}

func (p *indexParser) entry(x *Index) {
	if p.bad {
		return
	}
	line := p.line()
	letter, rest, _ := strings.Cut(line, "\t")
	start, rest, _ := strings.Cut(rest, "\t")
	e := Member{Kind: KindDir, Path: rest}
	switch letter {
	case "d":
	case "f":
		size, path, _ := strings.Cut(rest, "\t")
		e = Member{Kind: KindFile, Path: path, Size: p.number(size)}
	case "l":
		path, target, _ := strings.Cut(rest, "\t")
		e = Member{Kind: KindLink, Path: path, Target: target}
	default:
		p.bad = true
	}
	x.Members = append(x.Members, e)
	x.Starts = append(x.Starts, int(p.number(start)))
	p.form = x.appendEntry(p.form[:0], len(x.Members)-1)
	p.as(line)
}

// StoredSize is what the frames of an index add up to.
func (x *Index) StoredSize() (stored int64) {
	for i := range x.Frames {
		stored += x.Frames[i].Stored
	}
	return stored
}
