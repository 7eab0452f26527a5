// Package userdata puts the boot of a release into a launch template's user
// data, beside whatever its owner had there, and finds it again. It knows what
// cloud-init reads, MIME and shell words, and nothing of AWS or of rollouts.
package userdata

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wpbake/wpbake/artifact"
)

// User data limits, in bytes. EC2 takes 16 KiB before base64; plain is what
// compressed user data may unpack to.
const (
	limit      = 16 << 10
	plainLimit = 16 << 20
)

// bootFile names wpbake's part. cloud-init runs shell parts sorted by file
// name and calls nameless ones part-001 and so on, so this one comes last
// unless the owner named a part to follow it.
const bootFile = "wpbake-boot.sh"

// Boot is what a template's user data tells a node to boot.
type Boot struct {
	Store    string // URL, such as s3://BUCKET/PREFIX
	Version  artifact.Version
	Manifest artifact.Digest
	Group    string
	Run      string
	Hook     string // lifecycle hook

	Volume string          // snapshot of the release volume that the template attaches; empty for none
	Image  artifact.Digest // with Volume: of the file system on it
}

// TooLarge says that the owner's user data leaves no room for a boot.
type TooLarge struct {
	Size int // bytes, after compression
}

func (e *TooLarge) Error() string {
	return fmt.Sprintf("user data is %d bytes even when compressed, EC2 takes %d", e.Size, limit)
}

// Hint says how to make room.
func (e *TooLarge) Hint() string {
	return "move the group's own user data into the image, or fetch it from S3 in a short script"
}

// Foreign says that user data is not for cloud-init as far as can be
// told, so that adding a part would break it.
type Foreign struct {
	Cause string
}

func (e *Foreign) Error() string { return "user data cannot take a boot part: " + e.Cause }

// Hint says what user data may be.
func (e *Foreign) Hint() string {
	return "use a #! script, #cloud-config, or a MIME multipart with a boundary"
}

// Compose returns the owner's user data with boot as its last part. A
// boot part from an earlier release is replaced, every other part stays byte
// for byte: a multipart stays itself with one part more, anything else becomes
// the first part of a new one. Compressed data is unpacked, and packed again
// only when the result would be too large for EC2.
//
// The result depends on the arguments alone, and composing twice is the same
// as composing once with the later boot.
func Compose(owner []byte, boot Boot) ([]byte, error) {
	script, err := boot.script()
	if err != nil {
		return nil, err
	}
	plain, err := unpack(owner)
	if err != nil {
		return nil, err
	}
	m, err := asMultipart(plain)
	if err != nil {
		return nil, err
	}
	out := m.without(isBootPart).with(mimePart("text/x-shellscript", bootFile, script))
	if len(out) <= limit {
		return out, nil
	}
	return pack(out)
}

// ParseBoot finds wpbake's part in user data, at any depth. It is false when
// there is none or it is not as wpbake writes it.
func ParseBoot(userData []byte) (Boot, bool) {
	plain, err := unpack(userData)
	if err != nil {
		return Boot{}, false
	}
	m, ok, err := parseMultipart(plain)
	if err != nil || !ok {
		return Boot{}, false
	}
	var script []byte
	m.without(func(part []byte) bool {
		if isBootPart(part) {
			script = partContent(part)
		}
		return false
	})
	return parseBootScript(script)
}

func unpack(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("unpacking user data: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, plainLimit+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking user data: %w", err)
	}
	if len(plain) > plainLimit {
		return nil, fmt.Errorf("unpacking user data: more than %d bytes", plainLimit)
	}
	return plain, nil
}

func pack(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("packing user data: %w", err)
	}
	if _, err := z.Write(b); err != nil {
		return nil, fmt.Errorf("packing user data: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("packing user data: %w", err)
	}
	if out.Len() > limit {
		return nil, &TooLarge{Size: out.Len()}
	}
	return out.Bytes(), nil
}

const bootScriptHead = "#!/bin/sh\n# wpbake boot: written by wpbake release, replaced by the next one\n"

const bootCommand = "exec wpbake node boot"

// flags pairs each flag of the boot command with its value's place.
func (b *Boot) flags() []bootFlag {
	return []bootFlag{
		{"--store", &b.Store, false}, {"--version", (*string)(&b.Version), false}, {"--manifest", (*string)(&b.Manifest), false},
		{"--group", &b.Group, false}, {"--run", &b.Run, false}, {"--hook", &b.Hook, false},
		{"--volume", &b.Volume, true}, {"--image", (*string)(&b.Image), true},
	}
}

type bootFlag struct {
	name     string
	value    *string
	optional bool
}

func (b *Boot) validate() error {
	if _, err := artifact.ParseVersion(string(b.Version)); err != nil {
		return err
	}
	if _, err := artifact.ParseDigest(string(b.Manifest)); err != nil {
		return err
	}
	if b.Volume != "" {
		if _, err := artifact.ParseDigest(string(b.Image)); err != nil {
			return err
		}
	}
	for _, f := range b.flags() {
		if *f.value == "" && f.optional {
			continue
		}
		if *f.value == "" {
			return fmt.Errorf("composing user data: %s is empty", f.name)
		}
		if !utf8.ValidString(*f.value) || strings.ContainsFunc(*f.value, unicode.IsControl) {
			return fmt.Errorf("composing user data: %s %q: want one line of text", f.name, *f.value)
		}
	}
	return nil
}

// script is the shell part that boots b.
func (b Boot) script() ([]byte, error) {
	if err := b.validate(); err != nil {
		return nil, err
	}
	var s strings.Builder
	s.WriteString(bootScriptHead + bootCommand)
	for _, f := range b.flags() {
		if *f.value == "" {
			continue
		}
		s.WriteString(" " + f.name + " " + quoteShell(*f.value))
	}
	s.WriteByte('\n')
	return []byte(s.String()), nil
}

func parseBootScript(script []byte) (Boot, bool) {
	_, line, ok := strings.Cut(string(script), "\n"+bootCommand)
	if !ok {
		return Boot{}, false
	}
	line, _, _ = strings.Cut(line, "\n")
	words, ok := splitShell(line)
	if !ok || len(words)%2 != 0 {
		return Boot{}, false
	}
	var b Boot
	for _, f := range b.flags() {
		for i := 0; i < len(words); i += 2 {
			if words[i] == f.name {
				*f.value = words[i+1]
			}
		}
	}
	return b, b.validate() == nil
}

// quoteShell makes s one literal word of any POSIX shell.
func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// splitShell undoes quoteShell on a line of words: single quotes and
// backslashes, nothing else has a meaning.
func splitShell(line string) (words []string, ok bool) {
	var word strings.Builder
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'':
			quoted, inWord = !quoted, true
		case quoted:
			word.WriteByte(c)
		case c == ' ':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			inWord = true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, !quoted
}

// asMultipart returns user data as a MIME multipart: itself when it is one.
func asMultipart(b []byte) (mimeData, error) {
	m, ok, err := parseMultipart(b)
	if ok || err != nil {
		return m, err
	}
	if len(bytes.TrimSpace(b)) == 0 {
		b = nil
	} else if plainType(b) == "" && mediaType(b) == "" {
		return m, &Foreign{Cause: "it is neither a script, nor cloud-config, nor MIME"}
	}
	m, _, err = parseMultipart(wrap(b))
	return m, err
}

// wrap is a new multipart holding b, unless b is empty. Its boundary
// comes from b, so that equal input makes equal output.
func wrap(b []byte) []byte {
	boundary := "wpbake-" + artifact.DigestOf(b).Hex()[:32]
	var out bytes.Buffer
	fmt.Fprintf(&out, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=%q\n\n", boundary)
	if len(b) > 0 {
		part := b // a MIME entity of its own
		if t := plainType(b); t != "" {
			part = mimePart(t, "", b)
		}
		fmt.Fprintf(&out, "--%s\n%s\n", boundary, part)
	}
	fmt.Fprintf(&out, "--%s--\n", boundary)
	return out.Bytes()
}

// plainTypes are what cloud-init knows by first line, longer ones first where
// one begins another.
func plainTypes() [][2]string {
	return [][2]string{
		{"#!", "text/x-shellscript"},
		{"#cloud-config-archive", "text/cloud-config-archive"},
		{"#cloud-config-jsonp", "text/cloud-config-jsonp"},
		{"#cloud-config", "text/cloud-config"},
		{"#cloud-boothook", "text/cloud-boothook"},
		{"#include-once", "text/x-include-once-url"},
		{"#include", "text/x-include-url"},
		{"#part-handler", "text/part-handler"},
		{"## template: jinja", "text/jinja2"},
	}
}

// plainType is the type of user data that is not MIME, or "" when cloud-init
// would not know it. Like cloud-init it looks past leading space and case.
func plainType(b []byte) string {
	b = bytes.TrimLeftFunc(b, unicode.IsSpace)
	for _, t := range plainTypes() {
		if n := len(t[0]); len(b) >= n && strings.EqualFold(string(b[:n]), t[0]) {
			return t[1]
		}
	}
	return ""
}
