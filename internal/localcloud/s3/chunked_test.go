package s3

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestChunkReader(t *testing.T) {
	big := strings.Repeat("x", 70_000)
	for _, test := range []struct {
		name, in, out, trailer string
		format                 chunkFormat
		err                    error
	}{
		{name: "trailer", in: "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", out: "hello", trailer: "NhCmhg==", format: chunkFormat{trailer: true}},
		{name: "no last line", in: "5\r\nhello\r\n0\r\nX-Amz-Checksum-CRC32: NhCmhg==\r\n", out: "hello", trailer: "NhCmhg==", format: chunkFormat{trailer: true}},
		{name: "empty", in: "0\r\n\r\n", format: chunkFormat{trailer: true}},
		{name: "two chunks", in: "11170\r\n" + big + "\r\n2\r\nab\r\n0\r\n\r\n", out: big + "ab"},
		{name: "signed, trusted", in: "3;chunk-signature=00\r\nabc\r\n0;chunk-signature=11\r\n\r\n", out: "abc", format: chunkFormat{signed: true}},
		{name: "signature missing", in: "3\r\nabc\r\n0\r\n\r\n", format: chunkFormat{signed: true}, err: errIncompleteChunks},
		{name: "small chunk in the middle", in: "5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", out: "hello", err: errChunkSize},
		{name: "cut in data", in: "5\r\nhel", out: "hel", err: io.ErrUnexpectedEOF},
		{name: "cut behind data", in: "5\r\nhello\r\n", out: "hello", err: io.ErrUnexpectedEOF},
		{name: "nothing", in: "", err: io.ErrUnexpectedEOF},
		{name: "no size", in: "zz\r\nhello\r\n0\r\n\r\n", err: errIncompleteChunks},
		{name: "huge size", in: "ffffffffffffffff\r\nhello\r\n", err: errIncompleteChunks},
		{name: "bare newline", in: "5\nhello\n0\n\n", err: errIncompleteChunks},
		{name: "long data", in: "5\r\nhello!\r\n0\r\n\r\n", out: "hello", err: errIncompleteChunks},
		{name: "trailer without colon", in: "0\r\nnonsense\r\n\r\n", format: chunkFormat{trailer: true}, err: errMalformedTrailer},
		{name: "trailer unannounced", in: "0\r\na:b\r\n\r\n", err: errMalformedTrailer},
		{name: "endless trailer", in: "0\r\n" + strings.Repeat("a:b\r\n", 100) + "\r\n", format: chunkFormat{trailer: true}, err: errMalformedTrailer},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "eof": iotest.DataErrReader,
			} {
				c := newChunkReader(wrap(strings.NewReader(test.in)), test.format)
				out, err := io.ReadAll(c)
				if string(out) != test.out || !errors.Is(err, test.err) || test.err == nil && err != nil {
					t.Errorf("%s: read %.20q, %v; want %.20q, %v", name, out, err, test.out, test.err)
				}
				if got := c.trailers.Get("X-Amz-Checksum-Crc32"); got != test.trailer {
					t.Errorf("%s: trailer %q, want %q", name, got, test.trailer)
				}
			}
		})
	}
}

// FuzzChunkReader looks for bodies that crash the reader, or that it takes
// although what it gives out does not account for them.
func FuzzChunkReader(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"), false)
	f.Add([]byte("3;chunk-signature=00\r\nabc\r\n0;chunk-signature=11\r\n\r\n"), true)
	f.Add([]byte("0\r\n\r\n"), false)
	f.Add([]byte("ffffffffffffffff\r\n"), false)
	f.Fuzz(func(t *testing.T, in []byte, signed bool) {
		format := chunkFormat{signed: signed, trailer: true}
		whole, err := io.ReadAll(newChunkReader(bytes.NewReader(in), format))
		if len(whole) > len(in) {
			t.Fatalf("%d bytes became %d", len(in), len(whole))
		}
		slow, slowErr := io.ReadAll(newChunkReader(iotest.OneByteReader(bytes.NewReader(in)), format))
		if !bytes.Equal(whole, slow) || (err == nil) != (slowErr == nil) {
			t.Fatalf("read %q, %v at once, but %q, %v in bytes", whole, err, slow, slowErr)
		}
		if err == nil && !bytes.Contains(in, []byte("0")) {
			t.Fatal("accepted without a last chunk")
		}
	})
}

func TestCombinedSums(t *testing.T) {
	body := bytes.Repeat([]byte("wordpress "), 1000)
	for _, algorithm := range []string{"CRC32", "CRC32C", "CRC64NVME"} {
		whole := newHasher(algorithm)
		whole.Write(body)
		for _, cut := range [][]int{{0, len(body)}, {1, len(body) - 1}, {3000, 1, 6999}, {0, 5, 0, len(body) - 5}} {
			var parts []part
			rest := body
			for _, n := range cut {
				h := newHasher(algorithm)
				h.Write(rest[:n])
				rest = rest[n:]
				parts = append(parts, part{Size: int64(n), Sums: h.sums().values})
			}
			if got, want := fullSum(algorithm, parts), whole.sums().values[algorithm]; got != want {
				t.Errorf("%s of %v = %s, want %s", algorithm, cut, got, want)
			}
		}
	}
	h := newHasher("CRC64NVME")
	h.Write([]byte("123456789"))
	if got := h.sums().values["CRC64NVME"]; got != "rosUhgp5mIg=" { // the catalogue's check value ae8b14860a799888
		t.Errorf("CRC64NVME of the check string = %s", got)
	}
}
