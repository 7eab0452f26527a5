package artifact

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// packer writes the frames of an artifact. Workers read, hash and compress
// sections; one writer takes their frames in order. What is in memory at a
// time depends on the number of workers alone.
type packer struct {
	members  []entry // sums are filled in as files are read
	known    []bool  // of each member: its sum, or whatever it needs, is there
	read     func(t *treeReader, i int, use func(content) error) error
	root     dir
	out      io.Writer
	enc      *zstd.Encoder // shared by all workers
	earlier  *earlier      // frames that need not be made again; may be nil
	then     *Manifest     // of the last build; the zero value when there was none
	index    *index
	progress *counter
	free     chan []byte // buffers of stored frames, to be used again
}

// maxWorkers bounds memory on machines with many processors: a worker and
// what waits for the writer on its account take some 15 MiB.
const maxWorkers = 12

func workers() int { return min(runtime.GOMAXPROCS(0), maxWorkers) }

// content is an open member's data.
type content interface {
	readFull(b []byte) error
	readTo(ctx context.Context, w io.Writer) error
}

// packed is one compressed frame.
type packed struct {
	frame frame
	bytes []byte
}

// job is a section on its way from a worker to the writer.
type job struct {
	section
	frames chan packed
}

// pack writes sections in order. It returns at the first error; nothing of it
// runs on then.
func (p *packer) pack(ctx context.Context, sections []section) error {
	workers := workers()
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *job)
	order := make(chan *job, 2*workers)
	g.Go(func() error {
		defer close(todo)
		defer close(order)
		for _, s := range sections {
			j := &job{section: s, frames: make(chan packed, 1)}
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
		start := len(p.index.frames)
		for left := len(frameLengths(j.section)); left > 0; left-- {
			select {
			case f := <-j.frames:
				if err := p.put(f); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for range j.last - j.first {
			p.index.starts = append(p.index.starts, start)
		}
		p.progress.add(j.plain)
	}
	return nil
}

// put writes a frame and takes its buffer back.
func (p *packer) put(f packed) error {
	if _, err := p.out.Write(f.bytes); err != nil {
		return fmt.Errorf("writing artifact: %w", err)
	}
	p.index.frames = append(p.index.frames, f.frame)
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
	files := &treeReader{root: p.root}
	defer files.Close()
	var buf []byte
	for j := range todo {
		emit := &emitter{packer: p, section: j.section, send: func(f packed) error {
			select {
			case j.frames <- f:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		if !slices.Contains(p.known[j.first:j.last], false) {
			if done, err := emit.reuse(); err != nil {
				return err
			} else if done {
				continue
			}
		}
		var err error
		if len(frameLengths(j.section)) > 1 {
			err = p.large(ctx, emit, files)
		} else {
			buf = slices.Grow(buf[:0], int(j.plain))
			err = p.small(emit, files, buf[:j.plain])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// small fills one frame with whole entries.
func (p *packer) small(emit *emitter, files *treeReader, buf []byte) error {
	rest := buf
	for i := emit.first; i < emit.last; i++ {
		e := &p.members[i]
		size, err := tarSize(e)
		if err != nil {
			return err
		}
		at := size - e.size - padding(e)
		if e.kind == kindFile {
			body := rest[at:][:e.size]
			if err := p.read(files, i, func(c content) error { return c.readFull(body) }); err != nil {
				return err
			}
			e.sum = sha256.Sum256(body)
		}
		if _, err := appendHeader(rest[:0:at], e); err != nil { // its time is known now
			return err
		}
		clear(rest[at+e.size : size])
		rest = rest[size:]
	}
	if done, err := emit.reuse(); done || err != nil {
		return err
	}
	return emit.frame(buf)
}

// large spreads one entry over frames of its own. The file is read twice,
// since its header carries a time that its content decides.
func (p *packer) large(ctx context.Context, emit *emitter, files *treeReader) error {
	e := &p.members[emit.first]
	first := sha256.New()
	read := func(w io.Writer) error {
		return p.read(files, emit.first, func(c content) error { return c.readTo(ctx, w) })
	}
	if err := read(first); err != nil {
		return err
	}
	first.Sum(e.sum[:0])
	if done, err := emit.reuse(); done || err != nil {
		return err
	}
	head, err := header(e)
	if err != nil {
		return err
	}
	out := &frameWriter{emit: emit, lengths: frameLengths(emit.section)}
	again := sha256.New()
	if _, err := out.Write(head); err != nil {
		return err
	}
	if err := read(io.MultiWriter(again, out)); err != nil {
		return err
	}
	if _, err := out.Write(make([]byte, padding(e))); err != nil {
		return err
	}
	if [sha256.Size]byte(again.Sum(nil)) != e.sum {
		return &errVanished{e.path, "changed"}
	}
	return nil
}

// emitter makes the frames of one section and hands them to the writer.
type emitter struct {
	*packer
	section
	sums [][sha256.Size]byte // of frames not yet made, once all members' are known
	send func(packed) error
}

func (e *emitter) contents() [][sha256.Size]byte {
	return contentSums(e.members[e.first:e.last], len(frameLengths(e.section)))
}

// reuse sends the section's frames as an earlier artifact has them, if it has.
func (e *emitter) reuse() (bool, error) {
	if e.earlier == nil {
		return false, nil
	}
	at, ok := e.earlier.find(e.contents())
	if !ok {
		return false, nil
	}
	for _, f := range at {
		b, err := e.earlier.read(f, e.buffer())
		if err != nil {
			return false, err
		}
		if err := e.send(packed{bytes: b, frame: f.frame}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// frame compresses the section's next frame.
func (e *emitter) frame(plain []byte) error {
	if len(e.sums) == 0 {
		e.sums = e.contents()
	}
	sum := e.sums[0]
	e.sums = e.sums[1:]
	b := e.enc.EncodeAll(plain, e.buffer())
	return e.send(packed{bytes: b, frame: frame{
		stored: int64(len(b)), plain: int64(len(plain)), storedSum: sha256.Sum256(b), contentSum: sum,
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
