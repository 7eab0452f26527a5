package build

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
	"golang.org/x/sync/errgroup"
)

// packer writes the frames of an artifact. Workers read, hash and compress
// sections; one writer takes their frames in order. What is in memory at a
// time depends on the number of workers alone.
type packer struct {
	members  []artifact.Member // sums are filled in as files are read
	known    []bool            // of each member: its sum, or whatever it needs, is there
	read     func(ctx context.Context, files *tree.Reader, i int, use func(content) error) error
	root     tree.Dir
	out      io.Writer
	enc      *zstd.Encoder      // shared by all workers
	previous *fetch.Previous    // frames that need not be made again; may be nil
	last     *artifact.Manifest // of the last build; the zero value when there was none
	index    *artifact.Index
	progress *artifact.Counter
	free     chan []byte // buffers of stored frames, to be used again
}

// maxWorkers bounds memory on machines with many processors: a worker and
// what waits for the writer on its account take some 15 MiB.
const maxWorkers = 12

func workers() int { return min(runtime.GOMAXPROCS(0), maxWorkers) }

// content is an open member's data.
type content interface {
	ReadFull(b []byte) error
	ReadTo(ctx context.Context, w io.Writer) error
}

// packed is one compressed frame.
type packed struct {
	frame artifact.Frame
	bytes []byte
}

// job is a section on its way from a worker to the writer.
type job struct {
	artifact.Section
	frames chan packed
}

// pack writes sections in order. It returns at the first error; nothing of it
// runs on then.
func (p *packer) pack(ctx context.Context, sections []artifact.Section) error {
	workers := workers()
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *job)
	order := make(chan *job, 2*workers)
	g.Go(func() error {
		defer close(todo)
		defer close(order)
		for _, s := range sections {
			j := &job{Section: s, frames: make(chan packed, 1)}
			for _, to := range []chan *job{order, todo} {
				select {
				case to <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	for range workers {
		g.Go(func() error { return p.work(ctx, todo) })
	}
	g.Go(func() error { return p.write(ctx, order) })
	return g.Wait()
}

func (p *packer) write(ctx context.Context, order <-chan *job) error {
	for j := range order {
		start := len(p.index.Frames)
		for left := len(frameLengths(j.Section)); left > 0; left-- {
			select {
			case f := <-j.frames:
				if err := p.put(f); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for range j.Last - j.First {
			p.index.Starts = append(p.index.Starts, start)
		}
		p.progress.Add(j.Plain)
	}
	return nil
}

// put writes a frame and takes its buffer back.
func (p *packer) put(f packed) error {
	if _, err := p.out.Write(f.bytes); err != nil {
		return fmt.Errorf("writing artifact: %w", err)
	}
	p.index.Frames = append(p.index.Frames, f.frame)
	select {
	case p.free <- f.bytes[:0]:
	default:
	}
	return nil
}

// buffer returns an empty buffer for a stored frame.
func (p *packer) buffer() []byte {
	select {
	case b := <-p.free:
		return b
	default:
		return make([]byte, 0, frameTarget)
	}
}

func (p *packer) work(ctx context.Context, todo <-chan *job) error {
	files := &tree.Reader{Root: p.root}
	defer files.Close()
	var buf []byte
	for j := range todo {
		emit := &emitter{packer: p, Section: j.Section, send: func(f packed) error {
			select {
			case j.frames <- f:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		if !slices.Contains(p.known[j.First:j.Last], false) {
			if done, err := emit.reuse(); err != nil {
				return err
			} else if done {
				continue
			}
		}
		var err error
		if len(frameLengths(j.Section)) > 1 {
			err = p.large(ctx, emit, files)
		} else {
			buf = slices.Grow(buf[:0], int(j.Plain))
			err = p.small(ctx, emit, files, buf[:j.Plain])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// small fills one frame with whole entries.
func (p *packer) small(ctx context.Context, emit *emitter, files *tree.Reader, buf []byte) error {
	rest := buf
	for i := emit.First; i < emit.Last; i++ {
		e := &p.members[i]
		size, err := artifact.TarSize(e)
		if err != nil {
			return err
		}
		at := size - e.Size - artifact.Padding(e)
		if e.Kind == artifact.KindFile {
			body := rest[at:][:e.Size]
			if err := p.read(ctx, files, i, func(c content) error { return c.ReadFull(body) }); err != nil {
				return err
			}
			e.Sum = sha256.Sum256(body)
		}
		if _, err := artifact.AppendHeader(rest[:0:at], e); err != nil { // its time is known now
			return err
		}
		clear(rest[at+e.Size : size])
		rest = rest[size:]
	}
	if done, err := emit.reuse(); done || err != nil {
		return err
	}
	return emit.frame(buf)
}

// large spreads one entry over frames of its own. The file is read twice,
// since its header carries a time that its content decides.
func (p *packer) large(ctx context.Context, emit *emitter, files *tree.Reader) error {
	e := &p.members[emit.First]
	first := sha256.New()
	read := func(w io.Writer) error {
		return p.read(ctx, files, emit.First, func(c content) error { return c.ReadTo(ctx, w) })
	}
	if err := read(first); err != nil {
		return err
	}
	first.Sum(e.Sum[:0])
	if done, err := emit.reuse(); done || err != nil {
		return err
	}
	head, err := artifact.Header(e)
	if err != nil {
		return err
	}
	out := &frameWriter{emit: emit, lengths: frameLengths(emit.Section)}
	again := sha256.New()
	if _, err := out.Write(head); err != nil {
		return err
	}
	if err := read(io.MultiWriter(again, out)); err != nil {
		return err
	}
	if _, err := out.Write(make([]byte, artifact.Padding(e))); err != nil {
		return err
	}
	if [sha256.Size]byte(again.Sum(nil)) != e.Sum {
		return &tree.Change{Path: e.Path, Reason: "changed"}
	}
	return nil
}

// emitter makes the frames of one section and hands them to the writer.
type emitter struct {
	*packer
	artifact.Section
	sums    [][sha256.Size]byte // of frames not yet made, once all members' are known
	sent    int                 // frames that an earlier artifact had, before one was damaged
	damaged bool                // the earlier artifact, in this section
	send    func(packed) error
}

func (e *emitter) contents() [][sha256.Size]byte {
	return artifact.ContentSums(e.members[e.First:e.Last], len(frameLengths(e.Section)))
}

// reuse sends the section's frames as an earlier artifact has them, and reports
// whether it had them all. What it does not have as it should is made from the
// files: frames that were sent already are not sent again.
func (e *emitter) reuse() (bool, error) {
	if e.previous == nil || e.damaged {
		return false, nil
	}
	at, ok := e.previous.Find(e.contents())
	if !ok {
		return false, nil
	}
	for _, f := range at {
		b, err := e.previous.Read(f, e.buffer())
		if err != nil {
			e.damaged = true
			return false, nil
		}
		if err := e.send(packed{bytes: b, frame: f.Frame}); err != nil {
			return false, err
		}
		e.sent++
	}
	return true, nil
}

// frame compresses the section's next frame, unless an earlier artifact had it.
func (e *emitter) frame(plain []byte) error {
	if len(e.sums) == 0 {
		e.sums = e.contents()
	}
	sum := e.sums[0]
	e.sums = e.sums[1:]
	if e.sent > 0 {
		e.sent--
		return nil
	}
	b := e.enc.EncodeAll(plain, e.buffer())
	return e.send(packed{bytes: b, frame: artifact.Frame{
		Stored: int64(len(b)), Plain: int64(len(plain)), StoredSum: sha256.Sum256(b), ContentSum: sum,
	}})
}

// frameWriter cuts a stream into frames of given lengths.
type frameWriter struct {
	emit    *emitter
	lengths []int64
	buf     []byte
}

func (w *frameWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(int(w.lengths[0])-len(w.buf), len(p))
		w.buf = append(w.buf, p[:k]...)
		p = p[k:]
		if int64(len(w.buf)) < w.lengths[0] {
			continue
		}
		if err := w.emit.frame(w.buf); err != nil {
			return 0, err
		}
		w.buf, w.lengths = w.buf[:0], w.lengths[1:]
	}
	return n, nil
}
