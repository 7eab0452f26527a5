package s3

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/internal/wire"
)

// chunkFormat says which kind of aws-chunked a body has.
type chunkFormat struct {
	signed    bool
	trailer   bool
	signature *wire.Signature // what the chunks' signatures go on from; nil trusts them
}

// minChunk is how many bytes all chunks but the last must have.
const minChunk = 8 << 10

// maxTrailers bounds how many trailers a body may have.
const maxTrailers = 16

// chunkReader takes the framing off an aws-chunked body:
//
//	SIZE[;chunk-signature=HEX]\r\n DATA \r\n … 0[;chunk-signature=HEX]\r\n [NAME:VALUE\r\n …] \r\n
//
// It answers io.EOF only after everything was well-formed and signed.
type chunkReader struct {
	in       *bufio.Reader
	format   chunkFormat
	trailers http.Header

	left     uint64    // of the chunk's data
	inside   bool      // a chunk's data or its end comes next
	small    bool      // the chunk may only be the last
	sum      hash.Hash // of the chunk's data
	claimed  string    // the chunk's signature
	previous string    // the signature before it
	err      error
}

func newChunkReader(r io.Reader, format chunkFormat) *chunkReader {
	c := &chunkReader{in: bufio.NewReaderSize(r, 32<<10), format: format, trailers: http.Header{}, sum: sha256.New()}
	if format.signature != nil {
		c.previous = format.signature.Value
	}
	return c
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.err == nil {
		if !c.inside {
			c.err = c.nextChunk()
			continue
		}
		if c.left == 0 {
			c.err = c.endChunk()
			continue
		}
		n, err := c.in.Read(p[:min(uint64(len(p)), c.left)])
		c.left -= uint64(n)
		if c.format.signed {
			c.sum.Write(p[:n])
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		c.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, c.err
}

// nextChunk reads a chunk's head; behind the last chunk it reads the trailer.
func (c *chunkReader) nextChunk() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	if c.left, err = strconv.ParseUint(size, 16, 63); err != nil {
		return errIncompleteChunks
	}
	c.claimed = ""
	if c.format.signed {
		signature, ok := strings.CutPrefix(extension, "chunk-signature=")
		if !ok {
			return errIncompleteChunks
		}
		c.claimed = signature
	}
	c.sum.Reset()
	if c.left > 0 {
		if c.small {
			return errChunkSize
		}
		c.small = c.left < minChunk
		c.inside = true
		return nil
	}
	if err := c.checkChunk(); err != nil {
		return err
	}
	return c.readTrailers()
}

func (c *chunkReader) endChunk() error {
	c.inside = false
	if line, err := c.line(); err != nil || line != "" {
		return errors.Join(err, errIncompleteChunks)
	}
	return c.checkChunk()
}

// line reads one line; its end is \r\n and nothing else.
func (c *chunkReader) line() (string, error) {
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errIncompleteChunks
	}
	if err == io.EOF {
		return "", io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", err
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return "", errIncompleteChunks
	}
	return string(text), nil
}

func (c *chunkReader) checkChunk() error {
	return c.checkSignature("AWS4-HMAC-SHA256-PAYLOAD", c.claimed, emptySHA256, hex.EncodeToString(c.sum.Sum(nil)))
}

// checkSignature compares one signature of the chain and goes on from it.
func (c *chunkReader) checkSignature(kind, claimed string, tail ...string) error {
	sig := c.format.signature
	if !c.format.signed || sig == nil {
		return nil
	}
	text := append([]string{kind, sig.Time.Format("20060102T150405Z"), sig.Scope(), c.previous}, tail...)
	if !hmac.Equal([]byte(sig.Sign(strings.Join(text, "\n"))), []byte(claimed)) {
		return errBadSignature
	}
	c.previous = claimed
	return nil
}

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// readTrailers reads NAME:VALUE lines to the empty one, or to the end: some
// clients leave the last line out.
func (c *chunkReader) readTrailers() error {
	var signed strings.Builder
	signature, closed := "", false
	for range maxTrailers + 1 {
		line, err := c.line()
		if line == "" && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) {
			closed = true
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if err != nil || !ok || !c.format.trailer {
			return errMalformedTrailer
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if name == "x-amz-trailer-signature" {
			signature = value
			continue
		}
		c.trailers.Add(name, value)
		signed.WriteString(name + ":" + value + "\n")
	}
	if !closed {
		return errMalformedTrailer
	}
	if c.format.trailer {
		sum := sha256.Sum256([]byte(signed.String()))
		if err := c.checkSignature("AWS4-HMAC-SHA256-TRAILER", signature, hex.EncodeToString(sum[:])); err != nil {
			return err
		}
	}
	return io.EOF
}
